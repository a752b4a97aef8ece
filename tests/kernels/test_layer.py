"""The kernel computes the layer, for every shape, option and dtype."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernels.expected import EFFECTIVE_BITS, effective_bits, expected, probabilities
from tests.kernels.loading import Prepare, run
from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import ACTIVATIONS, LayerConfig
from validation.workloads.workload import Routing

DIMENSIONS = st.sampled_from([1, 2, 3, 15, 16, 17, 31, 33, 64, 96, 127, 255, 257, 300, 511, 704])
#: d_ff beyond `chunk_steps` of format.mojo, 1024 or 512 with AMX, splits the sum over K.
HIDDEN = DIMENSIONS | st.sampled_from([1024, 1025, 2100])
#: Elements, and elements of a row, from which a relative rms error is worth its name.
LEAST_ELEMENTS, LEAST_ROW = 256, 15
TOKENS = st.integers(0, 40) | st.sampled_from([97, 193, 500, 700])


@st.composite
def configs(draw: st.DrawFn, dtypes: tuple[str, ...] = ("float32", "bfloat16", "float16")) -> LayerConfig:
    experts = draw(st.integers(1, 40))
    return LayerConfig(
        d_model=draw(DIMENSIONS),
        d_ff=draw(HIDDEN),
        n_experts=experts,
        top_k=draw(st.integers(1, min(experts, 8))),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        gated=draw(st.booleans()),
        renormalize=draw(st.booleans()),
        dtype=draw(st.sampled_from(dtypes)),
        bias=draw(st.booleans()),
        router_bias=draw(st.booleans()),
    )


def assert_right(prepare: Prepare, config: LayerConfig, x: torch.Tensor, seed: int, threads: int = 2) -> None:
    """The choice is one of the best k, the weights and the output are those of that choice."""
    layer = make_layer(config, seed)
    out, ids, weights = run(prepare(layer, threads=threads), x)
    assert ids.shape == weights.shape == (x.shape[0], config.top_k)
    if x.shape[0] == 0:
        return
    chances = probabilities(layer, x)
    chosen = chances.gather(1, ids.long())
    assert bool(((ids >= 0) & (ids < config.n_experts)).all())
    assert all(len(set(row)) == config.top_k for row in ids.tolist())
    best = chances.topk(config.top_k, 1).values
    assert torch.allclose(chosen.sum(1), best.sum(1), rtol=1e-4, atol=0)
    reference, shares = expected(layer, x, ids)
    assert torch.allclose(weights.double(), shares, rtol=1e-4, atol=1e-30)
    case = f"{config}, T = {x.shape[0]}, seed {seed}"
    if out.numel() < LEAST_ELEMENTS or config.d_model < LEAST_ROW:
        # Few elements may cancel, and leave a right kernel 5.4 bits: here the derived bound decides, which is dearer.
        told = compare(expect(layer, x), out, ids, weights, lowest_id_wins=True)
        assert told.passed, f"{told.message}: {case}"
    else:
        bits = effective_bits(out, reference)
        assert bits >= EFFECTIVE_BITS[config.dtype], f"{bits:.1f} effective bits: {case}"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs(), tokens=TOKENS, routing=st.sampled_from(Routing), seed=st.integers(0, 99))
def test_it_computes_the_layer_that_was_drawn(
    prepare: Prepare, config: LayerConfig, tokens: int, routing: Routing, seed: int
) -> None:
    assert_right(prepare, config, draw_tokens(config, tokens, seed, routing), seed)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs(), tokens=TOKENS, routing=st.sampled_from(Routing), seed=st.integers(0, 99))
def test_it_computes_the_layer_when_built_for_avx2(
    prepare_avx2: Prepare, config: LayerConfig, tokens: int, routing: Routing, seed: int
) -> None:
    assert_right(prepare_avx2, config, draw_tokens(config, tokens, seed, routing), seed)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_any_number_of_threads_is_right(prepare: Prepare, threads: int) -> None:
    config = LayerConfig(d_model=96, d_ff=200, n_experts=7, top_k=3)
    assert_right(prepare, config, draw_tokens(config, 600), 0, threads)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs(), tokens=TOKENS, seed=st.integers(0, 99))
def test_results_are_equal_to_the_last_bit_whatever_the_threads(
    prepare: Prepare, config: LayerConfig, tokens: int, seed: int
) -> None:
    layer, x = make_layer(config, seed), draw_tokens(config, tokens, seed)
    first = run(prepare(layer, threads=1), x)
    for threads in (2, 2, 5):
        again = run(prepare(layer, threads=threads), x)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_token_alone_gets_the_same_bits_as_among_others(prepare: Prepare, dtype: str) -> None:
    config = LayerConfig(d_model=257, d_ff=1100, n_experts=5, top_k=2, dtype=dtype, gated=True, activation="silu")
    forward, x = prepare(make_layer(config)), draw_tokens(config, 700)
    together, _, _ = run(forward, x)
    for token in (0, 13, 699):
        alone, _, _ = run(forward, x[token : token + 1].clone())
        assert torch.equal(alone[0], together[token])


@pytest.mark.parametrize("tokens", [1, 40])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_what_a_spoilt_call_leaves_in_memory_reaches_no_other(prepare: Prepare, dtype: str, tokens: int) -> None:
    # Dimensions that leave room unwritten: in the last pair, in the last tile of AMX, and behind the last gated panel.
    for d_model, d_ff in ((33, 16), (17, 49)):
        config = LayerConfig(
            d_model=d_model, d_ff=d_ff, n_experts=3, top_k=2, dtype=dtype, gated=True, activation="silu"
        )
        forward, x = prepare(make_layer(config)), draw_tokens(config, tokens)
        clean, _, _ = run(forward, x)
        # A wider layer of the same pool leaves its NaN everywhere.
        wide = LayerConfig(d_model=256, d_ff=256, n_experts=3, top_k=2, dtype=dtype)
        run(prepare(make_layer(wide)), torch.full_like(draw_tokens(wide, 300), torch.nan))
        again, _, _ = run(forward, x)
        assert torch.equal(clean, again)


def test_more_tokens_than_one_pass_holds_are_computed(prepare: Prepare) -> None:
    # 256 MiB of float32 results per pass are 4,032 tokens here; fewer choices cost more of the oracle.
    config = LayerConfig(d_model=1000, d_ff=4, n_experts=16, top_k=16)
    assert_right(prepare, config, draw_tokens(config, 4_250), 0)


def test_small_integers_are_computed_exactly(prepare: Prepare) -> None:
    config = LayerConfig(d_model=70, d_ff=130, n_experts=6, top_k=1)
    layer = make_layer(config)
    for weights in (layer.w1, layer.w2):
        weights.copy_(torch.randint(-2, 3, weights.shape).float())
    x = torch.randint(-2, 3, (300, 70)).float()
    out, ids, _ = run(prepare(layer), x)
    reference, _ = expected(layer, x, ids)
    assert torch.equal(out.double(), reference)


def test_effective_bits_reject_a_lost_term_a_wrong_weight_and_zeros() -> None:
    config = LayerConfig(d_model=64, d_ff=704, n_experts=4, top_k=2)
    layer, x = make_layer(config), draw_tokens(config, 50)
    ids = probabilities(layer, x).topk(2, 1).indices
    right, _ = expected(layer, x, ids)
    layer.w2[:, -1] = 0
    lost, _ = expected(layer, x, ids)
    for wrong in (lost, right * 1.0001, torch.zeros_like(right), torch.where(right == right[0], torch.nan, right)):
        assert effective_bits(wrong, right) < EFFECTIVE_BITS["float32"]
