"""Ties, NaN and infinity in the router have a defined outcome."""

from __future__ import annotations

import math

import pytest
import torch

from tests.kernels.loading import Prepare, run
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import Layer, LayerConfig

CONFIG = LayerConfig(d_model=32, d_ff=48, n_experts=21, top_k=3, router_bias=True)


def with_logits(logits: list[float]) -> Layer:
    """Returns a layer whose router gives every token these logits."""
    layer = make_layer(CONFIG)
    layer.router_weight.zero_()
    assert layer.router_bias is not None
    layer.router_bias.copy_(torch.tensor(logits))
    return layer


def test_ties_go_to_the_lowest_ids(prepare: Prepare) -> None:
    _, ids, weights = run(prepare(with_logits([0.5] * 21)), draw_tokens(CONFIG, 30))
    assert ids.tolist() == [[0, 1, 2]] * 30
    assert torch.allclose(weights, torch.full((30, 3), 1 / 3))


def test_negative_zero_ties_with_zero(prepare: Prepare) -> None:
    logits = [-1.0] * 21
    logits[4], logits[7], logits[20] = -0.0, 0.0, 0.0
    _, ids, _ = run(prepare(with_logits(logits)), draw_tokens(CONFIG, 1))
    assert ids.tolist() == [[4, 7, 20]]


def test_logits_whose_probabilities_underflow_are_still_told_apart(prepare: Prepare) -> None:
    logits = [-400.0] * 21
    logits[20], logits[3], logits[17] = 0.0, -300.0, -200.0
    out, ids, weights = run(prepare(with_logits(logits)), draw_tokens(CONFIG, 1))
    assert ids.tolist() == [[20, 17, 3]]
    assert weights.tolist() == [[1.0, 0.0, 0.0]]
    assert bool(out.isfinite().all())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("tokens", [5, 200])
def test_a_bad_logit_spoils_its_token_and_no_other(prepare: Prepare, bad: float, tokens: int) -> None:
    layer = make_layer(CONFIG)
    forward, x = prepare(layer), draw_tokens(CONFIG, tokens)
    right, right_ids, _ = run(forward, x)
    x[3, 5] = bad
    out, ids, weights = run(forward, x)
    others = [token for token in range(tokens) if token != 3]
    assert torch.equal(out[others], right[others])
    assert torch.equal(ids[others], right_ids[others])
    assert bool(out[3].isnan().all())
    assert bool(weights[3].isnan().all())
    assert len(set(ids[3].tolist())) == 3
    assert all(0 <= expert < 21 for expert in ids[3].tolist())


@pytest.mark.parametrize("logits", [[math.nan] * 21, [math.inf] * 21, [-math.inf] * 21])
def test_ids_stay_distinct_and_in_range_when_no_logit_is_a_number(prepare: Prepare, logits: list[float]) -> None:
    out, ids, weights = run(prepare(with_logits(logits)), draw_tokens(CONFIG, 2))
    assert ids.tolist() == [[0, 1, 2]] * 2
    assert bool(weights.isnan().all())
    assert bool(out.isnan().all())


def test_an_expert_of_minus_infinity_is_never_chosen_before_a_finite_one(prepare: Prepare) -> None:
    logits = [-math.inf] * 21
    logits[9], logits[2], logits[11] = 0.0, 1.0, -5.0
    out, ids, _ = run(prepare(with_logits(logits)), draw_tokens(CONFIG, 1))
    assert ids.tolist() == [[2, 9, 11]]
    assert bool(out.isfinite().all())


def test_nan_in_a_hidden_unit_reaches_the_output(prepare: Prepare) -> None:
    layer = with_logits([float(-e) for e in range(21)])
    layer.w1[1, 0, 7] = math.nan
    out, _, _ = run(prepare(layer), draw_tokens(CONFIG, 40))
    assert bool(out.isnan().all())


def test_nan_in_an_expert_that_nobody_chose_reaches_nothing(prepare: Prepare) -> None:
    layer = with_logits([float(-e) for e in range(21)])
    layer.w1[8], layer.w2[9] = math.nan, math.nan
    out, _, _ = run(prepare(layer), draw_tokens(CONFIG, 40))
    assert bool(out.isfinite().all())
