"""FlashInfer, whole, where nvcc is to compile its C++: its layer in the CuTe DSL, and that of CUTLASS's matmuls."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tests.kernels_gpu.brought.flashinfer_matmuls import matmuls

if TYPE_CHECKING:
    from collections.abc import Callable


def flashinfer(layer: Any) -> Callable[..., object]:
    """Its layer for Hopper in the CuTe DSL: whole where nvcc is, else its matmuls."""
    return (_whole if shutil.which("nvcc") else matmuls)(layer)


def _whole(layer: Any) -> Callable[..., object]:
    from flashinfer.fused_moe.cute_dsl import sm90_fused_moe as its  # noqa: PLC0415 - only where it is installed
    from flashinfer.fused_moe.cute_dsl.sm90_contiguous_gather_grouped_gemm_act_fusion import (  # noqa: PLC0415
        _interleave_gated_halves as interleave,
    )

    c = layer.config
    w1 = interleave(layer.w1.mT, layer.w_gate.mT)
    w2 = layer.w2.mT.contiguous()

    def experts(x: torch.Tensor, out: torch.Tensor, weights: torch.Tensor, ids: torch.Tensor) -> None:
        its.cute_dsl_fused_moe_bf16(x, ids, weights, w1, w2, c.n_experts, c.top_k, moe_output=out)

    return _tuned(layer, experts)


def flashinfer_cutlass(layer: Any) -> Callable[..., object]:
    """Its layer of CUTLASS's matmuls, which expands, activates and sums by kernels of its own."""
    from flashinfer.fused_moe import cutlass_fused_moe  # noqa: PLC0415 - only where it is installed

    w1 = torch.cat([layer.w1.mT, layer.w_gate.mT], dim=1)
    w2 = layer.w2.mT.contiguous()

    def experts(x: torch.Tensor, out: torch.Tensor, weights: torch.Tensor, ids: torch.Tensor) -> None:
        cutlass_fused_moe(x, ids, weights, w1, w2, x.dtype, quant_scales=None, output=out)

    return _tuned(layer, experts)


def flashinfer_choosing(layer: Any) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Weights and ids [T, k]: the k best by its kernel for DeepSeek's router, without groups and bias.

    That one weighs by sigmoids, and its softmax is for newer GPUs only: the chosen logits' softmax is PyTorch's,
    compiled. Its check of groups asks as many groups as experts a token, which the kernel does not need.
    """
    from flashinfer.fused_moe import fused_topk_deepseek  # noqa: PLC0415 - only where it is installed

    c = layer.config
    bias = torch.zeros(c.n_experts, device="cuda")

    @torch.compile(dynamic=False)
    def weigh(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return logits.gather(1, ids.long()).softmax(-1)

    def choose(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.mm(x, layer.router_weight, out_dtype=torch.float32)
        sigmoids = logits.new_empty((len(x), c.top_k))
        ids = torch.empty((len(x), c.top_k), dtype=torch.int32, device=x.device)
        fused_topk_deepseek(logits, bias, 1, 1, c.top_k, 1.0, sigmoids, ids, skip_check=True)
        return weigh(logits, ids), ids

    return choose


def _tuned(layer: Any, experts: Callable[..., None]) -> Callable[..., object]:
    """Chosen and run as its tuner finds best, which tries all that it has at the first call of a size.

    FLASHINFER_TUNED names a folder that keeps what was found.
    """
    from flashinfer.autotuner import autotune  # noqa: PLC0415 - only where it is installed

    choose = flashinfer_choosing(layer)
    folder = os.environ.get("FLASHINFER_TUNED")
    tuned: set[int] = set()

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        weights, ids = choose(x)
        size, is_first = len(x), len(x) not in tuned
        kept = str(Path(folder) / f"k{layer.config.top_k}.json") if folder and is_first else None
        with autotune(is_first, cache=kept, tuning_buckets=(size,)):
            experts(x, out, weights, ids)
        tuned.add(size)
        return None, ids, weights

    return forward
