"""Every router, shared experts and the load-balancing loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference import oracle
from tests.kernels.expected import shared_output
from tests.kernels.loading import Prepare, run
from tests.strategies import router_options
from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.correctness.oracle_layer import oracle_layer
from validation.correctness.router_bounds import loss_and_bound
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import ACTIVATIONS, Layer, LayerConfig
from validation.workloads.workload import Routing

DIMENSIONS = st.sampled_from([1, 2, 15, 16, 17, 33, 64, 96, 255])
TOKENS = st.integers(0, 40) | st.sampled_from([97, 300])

#: Shares of a token's weights that two float32 roundings explain.
CLOSE = 1e-6

DEEPSEEK = LayerConfig(
    d_model=32,
    d_ff=48,
    n_experts=12,
    top_k=3,
    activation="silu",
    gated=True,
    router="sigmoid",
    correction_bias=True,
    n_groups=4,
    top_groups=2,
    routed_scaling=2.5,
    router_bias=True,
)


@st.composite
def configs(draw: st.DrawFn) -> LayerConfig:
    experts = draw(st.integers(1, 12) | st.sampled_from([16, 17, 40, 64, 256]))
    top_k = draw(st.integers(1, min(experts, 8)))
    return LayerConfig(
        d_model=draw(DIMENSIONS),
        d_ff=draw(DIMENSIONS),
        n_experts=experts,
        top_k=top_k,
        activation=draw(st.sampled_from(ACTIVATIONS)),
        gated=draw(st.booleans()),
        dtype=draw(st.sampled_from(("float32", "bfloat16", "float16"))),
        bias=draw(st.booleans()),
        router_bias=draw(st.booleans()),
        balance_loss=draw(st.booleans()),
        **draw(router_options(experts, top_k)),
    )


def assert_right(prepare: Prepare, config: LayerConfig, x: torch.Tensor, seed: int) -> None:
    """Routing, weights and output within the derived bound; the loss too when it is asked for."""
    layer = make_layer(config, seed)
    right = expect(layer, x)
    out = torch.full_like(x, torch.nan)
    result: tuple[Any, ...] = prepare(layer)(x, out)
    told = compare(right, out, result[1], result[2], lowest_id_wins=True)
    assert told.passed, f"{told.message}: {config}, T = {len(x)}, seed {seed}"
    assert len(result) == 3 + config.balance_loss
    if config.balance_loss:
        loss, bound = loss_and_bound(right.router, result[1].numpy(), right.precision, right.rule)
        assert abs(float(result[3]) - loss) <= bound


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs(), tokens=TOKENS, routing=st.sampled_from(Routing), seed=st.integers(0, 99))
def test_any_router_and_shared_expert_is_right_within_the_derived_bound(
    prepare: Prepare, config: LayerConfig, tokens: int, routing: Routing, seed: int
) -> None:
    assert_right(prepare, config, draw_tokens(config, tokens, seed, routing), seed)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs(), tokens=TOKENS, seed=st.integers(0, 99))
def test_any_router_is_right_when_built_for_avx2(
    prepare_avx2: Prepare, config: LayerConfig, tokens: int, seed: int
) -> None:
    assert_right(prepare_avx2, config, draw_tokens(config, tokens, seed), seed)


def with_logits(logits: list[float], config: LayerConfig = DEEPSEEK, correction: list[float] | None = None) -> Layer:
    """Returns a layer whose router gives every token these logits, and whose correction is none unless given."""
    layer = make_layer(config)
    layer.router_weight.zero_()
    assert layer.router_bias is not None
    layer.router_bias.copy_(torch.tensor(logits))
    if layer.correction_bias is not None:
        layer.correction_bias.copy_(torch.tensor(correction or [0.0] * config.n_experts))
    return layer


def routing(prepare: Prepare, layer: Layer, tokens: int = 5) -> tuple[list[int], list[float]]:
    """The ids and weights of the first of some tokens; all are alike."""
    _, ids, weights = run(prepare(layer), draw_tokens(layer.config, tokens))
    assert bool((ids == ids[0]).all())
    return ids[0].tolist(), weights[0].tolist()


def test_the_best_expert_of_a_closed_group_is_not_chosen(prepare: Prepare) -> None:
    # Groups of three. Worth: 1.2 and 1.1 by their two best; the lone 3 makes its group worth sigmoid(3) + sigmoid(-9).
    logits = [3.0, -9.0, -9.0, 0.5, 0.4, -9.0, 0.3, 0.2, 0.1, -9.0, -9.0, -9.0]
    ids, _ = routing(prepare, with_logits(logits))
    assert ids == [3, 4, 6]


def test_equal_groups_and_experts_are_chosen_by_the_lowest_id(prepare: Prepare) -> None:
    assert routing(prepare, with_logits([0.25] * 12))[0] == [0, 1, 2]
    assert routing(prepare, with_logits([-1.0] * 3 + [0.25] * 9))[0] == [3, 4, 5]


def test_the_correction_decides_the_choice_and_not_the_weights(prepare: Prepare) -> None:
    config = replace(DEEPSEEK, n_groups=1, top_groups=1)
    logits, correction = [0.0] * 12, [0.0] * 12
    logits[2], logits[5], correction[9], correction[11] = 1.0, 2.0, 5.0, 3.0
    ids, weights = routing(prepare, with_logits(logits, config, correction))
    assert ids == [9, 11, 5]
    scores = torch.tensor([0.0, 0.0, 2.0]).sigmoid()
    assert weights == pytest.approx((2.5 * scores / scores.sum()).tolist(), rel=CLOSE)


def test_scores_that_are_not_renormalised_are_the_sigmoids_scaled(prepare: Prepare) -> None:
    config = replace(DEEPSEEK, n_groups=1, top_groups=1, renormalize=False)
    ids, weights = routing(prepare, with_logits([float(e) / 4 for e in range(12)], config))
    assert ids == [11, 10, 9]
    assert weights == pytest.approx((2.5 * torch.tensor([2.75, 2.5, 2.25]).sigmoid()).tolist(), rel=CLOSE)


def test_scores_that_all_underflow_still_have_shares(prepare: Prepare) -> None:
    config = replace(DEEPSEEK, n_groups=1, top_groups=1)
    logits = [-400.0] * 12
    logits[4], logits[8] = -200.0, -201.0
    correction = [0.0] * 12
    correction[4], correction[8], correction[1] = 3.0, 2.0, 1.0
    ids, weights = routing(prepare, with_logits(logits, config, correction))
    assert ids == [4, 8, 1]
    assert weights == pytest.approx([2.5 / (1 + np.exp(-1)), 2.5 * np.exp(-1) / (1 + np.exp(-1)), 0], rel=CLOSE)


@pytest.mark.parametrize("tokens", [5, 200])
def test_a_nan_logit_spoils_its_token_and_no_other_under_sigmoid_too(prepare: Prepare, tokens: int) -> None:
    forward, x = prepare(make_layer(DEEPSEEK)), draw_tokens(DEEPSEEK, tokens)
    right, _, _ = run(forward, x)
    x[3, 5] = torch.nan
    out, ids, weights = run(forward, x)
    others = [token for token in range(tokens) if token != 3]
    assert torch.equal(out[others], right[others])
    assert bool(out[3].isnan().all())
    assert bool(weights[3].isnan().all())
    assert len(set(ids[3].tolist())) == 3
    assert 0 <= int(ids[3].min()) <= int(ids[3].max()) < 12


def test_a_shared_expert_alone_is_added_with_weight_one(prepare: Prepare) -> None:
    config = replace(DEEPSEEK, shared_d_ff=100, bias=True)
    layer, x = make_layer(config), draw_tokens(config, 90)
    layer.w2.zero_()
    assert layer.b2 is not None
    layer.b2.zero_()
    out, _, _ = run(prepare(layer), x)
    assert torch.allclose(out.double(), shared_output(layer, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 40, 700])
def test_a_token_alone_gets_the_same_bits_with_a_shared_expert_too(prepare: Prepare, tokens: int) -> None:
    config = replace(DEEPSEEK, shared_d_ff=2100, d_model=257)
    forward, x = prepare(make_layer(config)), draw_tokens(config, tokens)
    together, _, _ = run(forward, x)
    for token in {0, tokens // 2, tokens - 1}:
        assert torch.equal(run(forward, x[token : token + 1].clone())[0][0], together[token])


def test_more_tokens_than_one_pass_holds_are_right_with_a_shared_expert_and_a_loss(prepare: Prepare) -> None:
    # 256 MiB of float32 results per pass, one of them the shared expert's, are 3,795 tokens here.
    config = LayerConfig(d_model=1000, d_ff=4, n_experts=16, top_k=16, shared_d_ff=3, balance_loss=True)
    layer, x = make_layer(config), draw_tokens(config, 4_000)
    right, out = expect(layer, x), torch.full_like(x, torch.nan)
    _, ids, weights, loss = prepare(layer)(x, out)  # type: ignore[misc]  # four, with a loss
    assert compare(right, out, ids, weights).passed
    wanted, bound = loss_and_bound(right.router, ids.numpy(), right.precision, right.rule)
    assert abs(float(loss) - wanted) <= bound


def loss_of(prepare: Prepare, layer: Layer, x: torch.Tensor, threads: int = 2) -> float:
    return float(prepare(layer, threads=threads)(x, torch.empty_like(x))[3])  # type: ignore[misc]


@pytest.mark.parametrize("router", ["softmax", "sigmoid"])
def test_the_loss_of_equal_logits_is_k_and_of_one_favoured_expert_larger(prepare: Prepare, router: str) -> None:
    config = LayerConfig(d_model=32, d_ff=16, n_experts=21, top_k=3, router=router, router_bias=True, balance_loss=True)
    x = draw_tokens(config, 100)
    assert loss_of(prepare, with_logits([0.5] * 21, config), x) == pytest.approx(3, rel=CLOSE)
    assert loss_of(prepare, with_logits([20.0] + [-20.0] * 20, config), x) == pytest.approx(21, rel=1e-4)


def test_the_loss_is_the_same_to_the_last_bit_whatever_the_threads(prepare: Prepare) -> None:
    config = replace(DEEPSEEK, balance_loss=True)
    layer, x = make_layer(config), draw_tokens(config, 700)
    losses = {loss_of(prepare, layer, x, threads) for threads in (1, 2, 2, 5)}
    assert len(losses) == 1


def test_no_tokens_have_no_loss(prepare: Prepare) -> None:
    config = replace(DEEPSEEK, balance_loss=True)
    assert loss_of(prepare, make_layer(config), draw_tokens(config, 0)) == 0


def test_the_bound_on_the_loss_rejects_another_definition() -> None:
    config = replace(DEEPSEEK, balance_loss=True)
    layer, x = make_layer(config), draw_tokens(config, 700)
    right = expect(layer, x)
    loss, bound = loss_and_bound(right.router, right.router.choice, right.precision, right.rule)
    over_k = loss / config.top_k
    softmax = oracle.balance_loss(right.router.logits, right.router.choice, oracle.RouterRule())
    assert bound < 1e-3 * loss
    assert min(abs(over_k - loss), abs(softmax - loss)) > 10 * bound


#: What a router may get wrong, as the config of another layer with the same tensors.
WRONG: dict[str, dict[str, Any]] = {
    "the scaling left out": {"routed_scaling": 1.0},
    "weights that are not renormalised": {"renormalize": False},
    "groups ignored": {"n_groups": 1, "top_groups": 1},
    "one group too many": {"top_groups": 3},
    "the correction left out": {"correction_bias": False},
    "the shared expert left out": {"shared_d_ff": 0},
    "softmax": {"router": "softmax", "n_groups": 1, "top_groups": 1, "correction_bias": False},
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_a_router_that_is_wrong_is_found_out(prepare: Prepare, wrong: str, told: bool) -> None:  # noqa: FBT001
    config = replace(DEEPSEEK, shared_d_ff=40)
    layer, x = make_layer(config), draw_tokens(config, 200)
    other = make_layer(config)
    if wrong == "the correction left out":
        other = replace(other, correction_bias=None)
    out, ids, weights = run(prepare(replace(other, config=replace(config, **WRONG[wrong]))), x)
    assert not compare(expect(layer, x), out, *((ids, weights) if told else ())).passed


def test_the_oracle_chooses_and_weighs_as_the_kernel_of_one_token_by_hand() -> None:
    layer = with_logits([3.0, -9.0, -9.0, 0.5, 0.4, -9.0, 0.3, 0.2, 0.1, -9.0, -9.0, -9.0])
    answer = oracle.forward(np.zeros((1, 32)), oracle_layer(layer))
    assert answer.ids.tolist() == [[3, 4, 6]]
    scores = 1 / (1 + np.exp(-np.array([0.5, 0.4, 0.3])))
    assert answer.weights[0] == pytest.approx(2.5 * scores / scores.sum(), rel=1e-6)
