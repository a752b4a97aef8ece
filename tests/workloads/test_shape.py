import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import router_options
from validation.usage import UsageError
from validation.workloads.layer import ACTIVATIONS, DTYPE_BYTES, LayerConfig
from validation.workloads.shape import parse_shape, shape_string
from validation.workloads.workload import Routing, Workload


@st.composite
def any_workload(draw: st.DrawFn) -> Workload:
    experts = draw(st.integers(1, 512))
    top_k = draw(st.integers(1, experts))
    options = draw(router_options(experts, top_k))
    config = LayerConfig(
        d_model=draw(st.integers(1, 20_000)),
        d_ff=draw(st.integers(1, 20_000)),
        n_experts=experts,
        top_k=top_k,
        activation=draw(st.sampled_from(ACTIVATIONS)),
        gated=draw(st.booleans()),
        dtype=draw(st.sampled_from(sorted(DTYPE_BYTES))),
        device=draw(st.sampled_from(["cpu", "cuda"])),
        bias=draw(st.booleans()),
        router_bias=draw(st.booleans()),
        balance_loss=draw(st.booleans()),
        **options | {"routed_scaling": draw(st.floats(1e-12, 1e12))},
    )
    routing, seed = draw(st.sampled_from(Routing)), draw(st.integers(0, 2**64))
    return Workload(name="", tokens=draw(st.integers(0, 10**6)), layer=config, routing=routing, seed=seed)


@given(any_workload())
def test_a_shape_read_back_is_the_same_workload(workload: Workload) -> None:
    read = parse_shape(shape_string(workload))
    assert (read.tokens, read.layer, read.routing, read.seed) == (
        workload.tokens,
        workload.layer,
        workload.routing,
        workload.seed,
    )


@given(any_workload())
def test_a_workload_is_named_by_its_canonical_shape(workload: Workload) -> None:
    assert parse_shape(shape_string(workload)).name == shape_string(workload)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("512x128-E4-k2", "a shape is spelt TOKENSxD_MODELxD_FF"),
        ("512x128x512-E4-k9", "top_k must not exceed n_experts = 4; got 9"),
        ("512x0x512-E4-k2", "d_model must be at least 1; got 0"),
        ("512x128x512-E4-k2-fp8", "'fp8' is none of relu, "),
        ("512x128x512-E4-k2-", "a shape is spelt"),
    ],
)
def test_a_misspelt_shape_is_answered_with_the_rule_and_the_value(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_shape(text)
