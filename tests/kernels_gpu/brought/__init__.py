"""Other projects' MoE kernels as peers of a gated bfloat16 layer, where they are installed: nothing depends on them.

SonicMoE (packages sonic-moe and quack-kernels, with NVIDIA's CuTe DSL) compiles and tunes itself at its first call of a
size. Of SGLang and FlashInfer a few folders of their wheels suffice: SGLang's Triton kernels and the tiles tuned for
them; FlashInfer's two matmuls for Hopper in the CuTe DSL, whose tiles are tried here as its tuner would. What their
C++ does beside these (choosing experts, placing pairs in whole tiles) is PyTorch's here, compiled. Where nvcc is,
FlashInfer compiles its own: then its layer is called whole, and its CUTLASS form is a peer too. How long choosing and
placing take alone, `python -m tests.kernels_gpu.brought OUT.json` tells.
"""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING, Any

from tests.kernels_gpu.brought.flashinfer import flashinfer, flashinfer_cutlass
from tests.kernels_gpu.brought.sglang import sglang
from tests.kernels_gpu.brought.sonicmoe import sonicmoe

if TYPE_CHECKING:
    from collections.abc import Callable

BROUGHT = {
    "sonicmoe": sonicmoe, "sglang": sglang, "flashinfer": flashinfer, "flashinfer_cutlass": flashinfer_cutlass,
}  # fmt: skip


def installed() -> dict[str, Callable[[Any], Callable[..., object]]]:
    """Those whose package is here; one of FlashInfer's is nothing without nvcc."""
    return {
        who: bring
        for who, bring in BROUGHT.items()
        if importlib.util.find_spec(who.partition("_")[0]) and (who != "flashinfer_cutlass" or shutil.which("nvcc"))
    }
