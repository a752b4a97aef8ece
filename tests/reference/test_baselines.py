import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reference.loading import judge, load
from tests.strategies import router_options
from validation.implementations.implementation import Implementation
from validation.implementations.menu import BASELINES
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import ACTIVATIONS, LayerConfig
from validation.workloads.shape import parse_shape
from validation.workloads.workload import Routing, Workload

every_baseline = pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
every_dtype_of_every_baseline = pytest.mark.parametrize(
    ("baseline", "dtype"),
    [(baseline, dtype) for baseline in BASELINES.values() for dtype in sorted(baseline.dtypes)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)

PUBLISHED_LAYER_ONLY = frozenset(
    {"python_lists", "numpy_as_published", "cpp_scalar", "cpp_autovectorized", "cpp_packed"}
)

#: grouped_mm takes rows of whole 16 bytes: multiples of 4 float32, of 8 otherwise.
_WIDTHS = {"torch_grouped_mm": st.integers(1, 6).map(lambda n: 8 * n)}


@st.composite
def workloads(draw: st.DrawFn, widths: st.SearchStrategy[int], dtype: str, *, any_router: bool) -> Workload:
    experts = draw(st.integers(1, 9))
    top_k = draw(st.integers(1, experts))
    gated = draw(st.booleans())
    options = draw(router_options(experts, top_k)) if any_router else {"renormalize": draw(st.booleans())}
    config = LayerConfig(
        d_model=draw(widths),
        d_ff=draw(widths),
        n_experts=experts,
        top_k=top_k,
        activation=draw(st.sampled_from(ACTIVATIONS)),
        gated=gated,
        dtype=dtype,
        bias=draw(st.booleans()),
        router_bias=draw(st.booleans()),
        **options,
    )
    return Workload(
        name="drawn",
        tokens=draw(st.integers(0, 12)),
        layer=config,
        routing=draw(st.sampled_from(Routing)),
        seed=draw(st.integers(0, 2**32)),
    )


@every_dtype_of_every_baseline
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_baseline_answers_as_the_oracle_within_the_derived_bound(
    baseline: Implementation, dtype: str, data: st.DataObject
) -> None:
    widths = _WIDTHS.get(baseline.name, st.integers(1, 40))
    any_router = baseline.name not in PUBLISHED_LAYER_ONLY
    comparison = judge(baseline, data.draw(workloads(widths, dtype, any_router=any_router)))
    assert comparison.passed, comparison.message


@every_dtype_of_every_baseline
@pytest.mark.parametrize(
    "shape",
    ["0x16x32-E4-k2", "1x16x32-E64-k2", "33x16x32-E4-k4", "40x16x32-E8-k2-all_to_one", "70x64x128-E4-k2-gelu-bias-raw"],
    ids=["no token", "empty experts", "k = E", "all to one", "biased, not renormalised"],
)
def test_a_baseline_is_right_at_the_edges(baseline: Implementation, dtype: str, shape: str) -> None:
    comparison = judge(baseline, parse_shape(f"{shape}-{dtype}"))
    assert comparison.passed, comparison.message


@every_baseline
def test_a_baseline_with_one_expert_weight_changed_is_found_wrong(baseline: Implementation) -> None:
    workload = parse_shape("24x16x32-E4-k2-float32")
    layer = make_layer(workload.layer)
    x = draw_tokens(workload.layer, workload.tokens)
    right, wrong = torch.empty_like(x), torch.empty_like(x)
    forward = load(baseline)
    forward(layer)(x, right)
    layer.w2[1] *= 1.01
    forward(layer)(x, wrong)
    changed = (right != wrong).any(dim=1)
    assert changed.any()
    assert not changed.all()


@pytest.mark.parametrize("name", ["python_lists", "numpy_per_token", "numpy_grouped"])
def test_exact_ties_go_to_the_lowest_expert(name: str) -> None:
    workload = parse_shape("5x16x16-E6-k3-float32")
    layer = make_layer(workload.layer)
    layer.router_weight[:] = 0.5  # halves of integers: every order of summation is exact
    x = draw_tokens(workload.layer, workload.tokens).round()
    _, ids, _ = load(BASELINES[name])(layer)(x, torch.empty_like(x))
    assert np.array_equal(np.asarray(ids), np.tile([0, 1, 2], (5, 1)))


def test_as_published_works_in_float64() -> None:
    workload = parse_shape("64x64x256-E4-k2-float32")
    layer = make_layer(workload.layer)
    x = draw_tokens(workload.layer, workload.tokens)

    def error(name: str) -> float:
        out = torch.empty_like(x)
        _, _, weights = load(BASELINES[name])(layer)(x, out)
        logits = x.double() @ layer.router_weight.double()
        best = logits.topk(2, dim=1).values.softmax(dim=1)
        return float((torch.as_tensor(weights).double().sort(dim=1).values - best.sort(dim=1).values).abs().max())

    assert error("numpy_as_published") < 1e-14
    assert error("numpy_grouped") > 1e-9


@pytest.mark.parametrize("name", sorted(PUBLISHED_LAYER_ONLY))
@pytest.mark.parametrize(
    ("shape", "option"),
    [
        ("4x16x32-E4-k1-sigmoid", "a sigmoid router"),
        ("4x16x32-E4-k1-scaled2.5", "routed_scaling = 2.5"),
        ("4x16x32-E4-k1-shared16", "a shared expert"),
    ],
)
def test_a_baseline_of_the_published_layer_declines_what_it_would_leave_out(name: str, shape: str, option: str) -> None:
    with pytest.raises(NotImplementedError, match=f"computes the published layer.*{option}"):
        load(BASELINES[name])(make_layer(parse_shape(shape).layer))


def test_grouped_mm_says_which_rows_it_takes() -> None:
    layer = make_layer(parse_shape("4x18x32-E2-k1-float32").layer)
    with pytest.raises(NotImplementedError, match="whole 16 bytes; d_model = 18 in float32 is not"):
        load(BASELINES["torch_grouped_mm"])(layer)
