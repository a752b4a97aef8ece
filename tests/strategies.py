"""Every Hypothesis strategy of the tests. They draw parameters, never arrays, so a failure shrinks to a small case."""

from typing import Any

from hypothesis import strategies as st

from validation.correctness.plan import EDGE_DIMENSIONS, EDGE_TOKENS
from validation.correctness.spec import PLAIN, CaseSpec, Check, LayerVariant
from validation.workloads.layer import ROUTERS, LayerConfig
from validation.workloads.workload import Routing, Workload

#: Shrinks towards 1, and towards the first edge.
dimensions = st.one_of(st.integers(1, 40), st.sampled_from(EDGE_DIMENSIONS))
tokens = st.one_of(st.integers(0, 40), st.sampled_from(EDGE_TOKENS))
expert_counts = st.one_of(st.integers(1, 16), st.sampled_from((17, 31, 60, 64, 128, 255, 256)))
routings = st.sampled_from(Routing)
seeds = st.integers(0, 10_000)

#: Checks that any shape can be asked, with the modifiers they take.
_BENT = st.sampled_from(
    [
        (Check.RANDOM, ""),
        (Check.PERMUTATION, ""),
        (Check.RELABELLING, ""),
        (Check.SPLIT, ""),
        (Check.DUPLICATE, ""),
        (Check.SCALED_W2, ""),
        (Check.SHRINKING, ""),
        (Check.EXACT_TIES, ""),
        (Check.NEAR_TIES, ""),
        (Check.SUBNORMAL, ""),
        (Check.CONSTANT_SIGN, "positive"),
        (Check.CONSTANT_SIGN, "equal"),
        (Check.ROUTER, "1"),
        (Check.STRIDED, "rows"),
        (Check.STRIDED, "transposed"),
        (Check.MISALIGNED, ""),
    ]
)

#: Powers of ten that each dtype holds the products of.
_SCALES = {"float32": 4, "bfloat16": 4, "float16": 1}

#: Elements of a weight stack, and multiply-adds of a call: a few ms each.
_MOST_WEIGHTS = 1 << 20
_MOST_WORK = 1 << 22


@st.composite
def router_options(draw: st.DrawFn, n_experts: int, top_k: int) -> dict[str, Any]:
    """Router, groups, scaling and shared expert of a LayerConfig that has so many experts; plain ones first."""
    router = draw(st.sampled_from(ROUTERS))
    options: dict[str, Any] = {
        "router": router,
        "renormalize": router == "topk_softmax" or draw(st.booleans()),
        "routed_scaling": draw(st.sampled_from([1.0, 2.5, 0.3])),
        "shared_d_ff": draw(st.sampled_from([0, 1, 17, 96])),
        "float32_router": draw(st.booleans()),
    }
    if router == "sigmoid":
        n_groups = draw(st.sampled_from([n for n in range(1, n_experts + 1) if n_experts % n == 0]))
        fewest = -(-top_k // (n_experts // n_groups))
        options["correction_bias"] = draw(st.booleans())
        options |= {"n_groups": n_groups, "top_groups": draw(st.integers(fewest, n_groups))}
    return options


@st.composite
def workloads(draw: st.DrawFn, dtype: str, variants: tuple[LayerVariant, ...] = (PLAIN,)) -> Workload:
    """A small layer of any shape, with any routing."""
    d_model, d_ff = draw(dimensions), draw(dimensions)
    n_experts = min(draw(expert_counts), max(1, _MOST_WEIGHTS // (d_model * d_ff)))
    top_k = draw(st.integers(1, min(n_experts, 8)) | st.just(n_experts))
    count = min(draw(tokens), max(1, _MOST_WORK // (top_k * d_model * d_ff)))
    plain = LayerConfig(d_model=d_model, d_ff=d_ff, n_experts=n_experts, top_k=top_k, dtype=dtype)
    config = draw(st.sampled_from(variants)).of(plain)
    return Workload(name="drawn", tokens=count, layer=config, routing=draw(routings), seed=draw(seeds))


@st.composite
def cases(draw: st.DrawFn, dtype: str, variants: tuple[LayerVariant, ...] = (PLAIN,)) -> CaseSpec:
    """Any case of the suite, of any shape."""
    workload = draw(workloads(dtype, variants))
    if draw(st.integers(0, 3)) == 0:
        most = _SCALES[dtype]
        exponents = draw(st.integers(-most, most)), draw(st.integers(-most, most))
        return CaseSpec(check=Check.SCALE, workload=workload, modifier="x{}w{}".format(*exponents))
    check, modifier = draw(_BENT)
    return CaseSpec(check=check, workload=workload, modifier=modifier)
