"""What a case's layer and tokens are bent into."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings

from tests.strategies import workloads
from validation.correctness.expected import expect
from validation.correctness.material import draw
from validation.correctness.spec import ALL_VARIANTS, CaseSpec, Check
from validation.workloads.shape import parse_shape
from validation.workloads.workload import Workload


@settings(max_examples=40)
@given(workload=workloads("float32", ALL_VARIANTS))
def test_rows_of_unlike_weights_change_no_answer(workload: Workload) -> None:
    """Powers of two pass through every product, so whoever computes in floating point loses nothing by them."""
    plain = CaseSpec(check=Check.RANDOM, workload=workload)
    unlike = replace(plain, check=Check.SCALE, modifier="weights")
    (layer, x), (other_layer, other_x) = draw(plain), draw(unlike)
    answers, others = expect(layer, x).answers, expect(other_layer, other_x).answers
    assert np.array_equal(answers.output, others.output, equal_nan=True)


def test_about_half_of_the_rows_are_larger() -> None:
    spec = CaseSpec(check=Check.RANDOM, workload=parse_shape("8x64x96-E4-k2-float32"))
    (layer, x), (unlike, other_x) = draw(spec), draw(replace(spec, check=Check.SCALE, modifier="weights"))
    for larger, than in ((unlike.router_weight, layer.router_weight), (x, other_x), (layer.w2, unlike.w2)):
        factors = larger.double() / than.double()
        assert set(factors.flatten().tolist()) == {1.0, 64.0}
        assert 0.3 < float((factors > 1.0).double().mean()) < 0.7
    assert set((unlike.w1 / layer.w1).flatten().tolist()) == {1.0, 64.0, 4096.0}
    assert torch.isfinite(unlike.w1).all()
