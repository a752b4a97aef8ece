"""What `make bench` times: shapes, and beside the kernel every contender that takes them in reasonable time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from validation.implementations.menu import BASELINES, MOJO, PEERS
from validation.stages.peers import chosen_peers
from validation.workloads.registry import find

if TYPE_CHECKING:
    from validation.implementations.implementation import Implementation
    from validation.workloads.workload import Workload

#: Compute-bound, few tokens, and gated experts of few rows each; the last a quarter of Qwen3-30B-A3B's experts.
SHAPES: Final = (
    "seed-claim",
    "seed-quick",
    "cpu-2048",
    "seed-claim-t1",
    "seed-claim-t8",
    "decode-32",
    "128x2048x768-E32-k8-silu-gated",
)
DTYPES: Final = ("float32", "bfloat16", "float16")


def workloads() -> list[Workload]:
    """Returns every shape in every dtype."""
    named = [find(shape) for shape in SHAPES]
    return [replace(one, layer=replace(one.layer, dtype=dtype)) for one in named for dtype in DTYPES]


def contenders(workload: Workload) -> list[Implementation]:
    """Returns the kernel first, then the strongest forms of others: PyTorch's, the same design in C++, and peers.

    PyTorch one token at a time is none of them.
    """
    others = [one for one in _others(workload) if one.takes(workload.flops, workload.layer.dtype, "cpu")]
    peers, _left_out = chosen_peers(workload, "cpu", "full")
    return [MOJO, *others, *peers]


def too_slow(workload: Workload) -> list[str]:
    """Returns which of PyTorch's forms would take too long for a call."""
    dtype = workload.layer.dtype
    others = [*_others(workload), *(one for one in PEERS.values() if one.family == "torch")]
    return [one.name for one in others if one.takes(0, dtype, "cpu") and not one.takes(workload.flops, dtype, "cpu")]


def _others(workload: Workload) -> list[Implementation]:
    return [
        one
        for one in BASELINES.values()
        if (one.family == "torch" and one.most_flops is None) or one.name == "cpp_packed"
        if workload.layer.published or not one.published_only
    ]
