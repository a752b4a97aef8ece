"""The least time in which any processor sold could make a call: no ceiling needs to be measured for it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from validation.cpu import read_cpu

if TYPE_CHECKING:
    from validation.workloads.workload import Workload

#: No processor sold runs faster; a Core i9-14900KS boosts to 6.2 GHz.
_MOST_HZ: Final = 6.5e9

#: FLOP per cycle and core of an instruction set, the widest first: two units of fused multiply-add of so many lanes.
#: An AMX tile product of 16 x 16 x 32 takes 16 cycles (Intel's optimisation manual, chapter 20).
_WIDTHS: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "float32": (("avx512f", 64), ("", 32)),
    "bfloat16": (("amx_bf16", 1024), ("avx512_bf16", 128), ("avx512f", 64), ("", 32)),
    "float16": (("amx_fp16", 1024), ("avx512_fp16", 128), ("avx512f", 64), ("", 32)),
}


def least_call_ns(workload: Workload, threads: int, features: frozenset[str] | None = None) -> float | None:
    """Returns a time in ns that no call of `workload` on so many cores falls below: FLOP over the most FLOP/s.

    `features` are the processor's as Linux names them, by default this one's. None where the layer is on a GPU, or the
    processor is none whose instruction sets are known here.
    """
    known = _features() if features is None else features
    if workload.layer.device != "cpu" or not known:
        return None
    per_cycle = next(flop for name, flop in _WIDTHS[workload.layer.dtype] if not name or name in known)
    return workload.flops / (per_cycle * threads * _MOST_HZ) * 1e9


def _features() -> frozenset[str]:
    return frozenset(read_cpu().features if platform.machine() == "x86_64" else ())
