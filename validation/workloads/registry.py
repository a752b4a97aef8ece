"""The named workloads. Shapes of the published texts, small ones a CPU can take, and real models."""

from dataclasses import replace
from typing import Any, Final

from validation.usage import unknown_name
from validation.workloads.layer import LayerConfig
from validation.workloads.shape import is_shape, parse_shape
from validation.workloads.workload import Workload


def _relu(d_model: int, d_ff: int, n_experts: int, top_k: int) -> LayerConfig:
    """The published layer: two matrices, ReLU."""
    return LayerConfig(d_model=d_model, d_ff=d_ff, n_experts=n_experts, top_k=top_k)


def _swiglu(d_model: int, d_ff: int, n_experts: int, top_k: int) -> LayerConfig:
    """A real model's layer: three matrices, SiLU gate, bfloat16."""
    ungated = _relu(d_model, d_ff, n_experts, top_k)
    return replace(ungated, activation="silu", gated=True, dtype="bfloat16")


_SEED_CLAIM: Final = _relu(256, 1024, 4, 2)
_MIXTRAL: Final = (4096, 14336, 8, 2)
_QWEN3: Final = (2048, 768, 128, 8)
_DEEPSEEK: Final = (7168, 2048, 256, 8)
_DEEPSEEK_ROUTER: Final[dict[str, Any]] = {
    "router": "sigmoid",
    "correction_bias": True,
    "routed_scaling": 2.5,
    "float32_router": True,
}

_ALL: Final = (
    # The published texts.
    Workload(
        name="seed-claim",
        tokens=1024,
        layer=_SEED_CLAIM,
        description="the shape of '382.87x' and '7x': batch 8 x sequence 128",
    ),
    Workload(
        name="seed-quick",
        tokens=512,
        layer=_relu(128, 512, 4, 2),
        description="the published quick demo",
    ),
    Workload(
        name="seed-small",
        tokens=16384,
        layer=_relu(1024, 4096, 8, 2),
        description="the shape of '2,155 GFLOPS'",
    ),
    Workload(
        name="seed-serving",
        tokens=16384,
        layer=_relu(2048, 8192, 8, 2),
        description="the shape of '349,596 tokens/s, 47 ms P95': 32 requests x 512",
    ),
    # Few tokens: call overhead and cache bandwidth decide.
    Workload(name="seed-claim-t1", tokens=1, layer=_SEED_CLAIM, description="seed-claim's layer, one token"),
    Workload(name="seed-claim-t8", tokens=8, layer=_SEED_CLAIM, description="seed-claim's layer, 8 tokens"),
    Workload(name="seed-claim-t32", tokens=32, layer=_SEED_CLAIM, description="seed-claim's layer, 32 tokens"),
    Workload(
        name="decode-32",
        tokens=32,
        layer=_relu(512, 2048, 8, 2),
        description="decode: the weights of every expert stream past 32 tokens",
    ),
    # What a small CPU can take in seconds.
    Workload(name="demo", tokens=256, layer=_SEED_CLAIM, description="the demo's: right and fast on one shape"),
    Workload(
        name="cpu-2048",
        tokens=2048,
        layer=_relu(1024, 4096, 8, 2),
        description="seed-small's layer at an eighth of its tokens",
    ),
    Workload(
        name="cpu-serving",
        tokens=512,
        layer=_relu(2048, 8192, 8, 2),
        description="seed-serving's layer at one sequence of 512",
    ),
    # Real models, SwiGLU as they are.
    *(
        Workload(
            name=f"mixtral-t{tokens}",
            tokens=tokens,
            layer=_swiglu(*_MIXTRAL),
            description=f"Mixtral-8x7B, {tokens} tokens",
        )
        for tokens in (1, 16, 4096)
    ),
    *(
        Workload(
            name=f"qwen3-t{tokens}",
            tokens=tokens,
            layer=_swiglu(*_QWEN3),
            description=f"Qwen3-30B-A3B, {tokens} tokens",
        )
        for tokens in (1, 4, 16, 32, 512, 4096)
    ),
    *(
        Workload(
            name=f"deepseek-v3-t{tokens}",
            tokens=tokens,
            layer=_swiglu(*_DEEPSEEK),
            description=f"DeepSeek-V3's routed experts under softmax routing, {tokens} tokens",
        )
        for tokens in (1, 32, 4096)
    ),
    *(
        Workload(
            name=f"deepseek-v3-layer-t{tokens}",
            tokens=tokens,
            layer=replace(_swiglu(*_DEEPSEEK), shared_d_ff=2048, n_groups=8, top_groups=4, **_DEEPSEEK_ROUTER),
            description=f"DeepSeek-V3's layer as it is, shared expert and router in groups, {tokens} tokens",
        )
        for tokens in (1, 32, 4096)
    ),
    Workload(
        name="mixtral-slice",
        tokens=512,
        layer=_swiglu(2048, 7168, 8, 2),
        description="Mixtral's layer at half its width both ways: what a small CPU can take",
    ),
    Workload(
        name="deepseek-slice",
        tokens=512,
        layer=replace(_swiglu(1024, 256, 64, 8), shared_d_ff=256, n_groups=8, top_groups=4, **_DEEPSEEK_ROUTER),
        description="DeepSeek-V3's layer, a quarter as many experts of a seventh the width: what a small CPU can take",
    ),
    # The same shapes with the published layer, as docs/METHOD.md's floors are stated.
    *(
        Workload(
            name=f"{model}-relu-t{tokens}",
            tokens=tokens,
            layer=replace(_relu(*shape), dtype="bfloat16"),
            description=f"{model}'s shape with the two-matrix ReLU layer, {tokens} tokens",
        )
        for model, shape, variants in (
            ("mixtral", _MIXTRAL, (16, 4096)),
            ("qwen3", _QWEN3, (1, 32, 4096)),
            ("deepseek-v3", _DEEPSEEK, (1, 32, 4096)),
        )
        for tokens in variants
    ),
)

WORKLOADS: Final[dict[str, Workload]] = {workload.name: workload for workload in _ALL}


def find(name: str) -> Workload:
    """Returns the workload of that name, or the one a shape string such as `512x128x512-E4-k2` spells.

    Raises:
        UsageError: no such name, or a shape string that spells no layer.
    """
    if name in WORKLOADS:
        return WORKLOADS[name]
    if is_shape(name):
        return parse_shape(name)
    raise unknown_name("workload", name, WORKLOADS)
