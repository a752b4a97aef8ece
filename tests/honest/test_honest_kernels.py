import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.honest.menu import HONEST
from tests.reference.loading import load
from tests.reference.test_baselines import workloads
from validation.correctness.compare import compare
from validation.correctness.comparison import Comparison
from validation.correctness.expected import expect
from validation.implementations.implementation import Implementation
from validation.implementations.process import Worker
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.shape import parse_shape
from validation.workloads.workload import Workload

every_kernel = pytest.mark.parametrize("kernel", HONEST.values(), ids=HONEST)


def judge(kernel: Implementation, workload: Workload) -> Comparison:
    layer = make_layer(workload.layer, workload.seed)
    x = draw_tokens(workload.layer, workload.tokens, workload.seed, workload.routing)
    forward = load(kernel)(layer)
    if kernel.name == "sorted_pairs":
        out = torch.full_like(x, float("nan"))
        result = forward(x, out)
        return compare(expect(layer, x), out, *result[1:])
    result = forward(x)
    return compare(expect(layer, x), *(result if isinstance(result, tuple) else (result,)))


@every_kernel
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_an_honest_kernel_is_never_rejected(kernel: Implementation, dtype: str, data: st.DataObject) -> None:
    comparison = judge(kernel, data.draw(workloads(st.integers(1, 40), dtype, any_router=False)))
    assert comparison.passed, comparison.message


@every_kernel
def test_an_honest_kernel_runs_in_a_worker_and_is_reported_to_do_nothing(kernel: Implementation) -> None:
    workload = parse_shape("19x24x40-E4-k2-float32")
    layer, x = make_layer(workload.layer), draw_tokens(workload.layer, workload.tokens)
    with Worker(threads=1) as worker:
        worker.load(kernel)
        worker.prepare(layer)
        output = worker.call(x)
        assert worker.doings == ()
    comparison = compare(expect(layer, x), output.out, output.ids, output.weights)
    assert comparison.passed, comparison.message
