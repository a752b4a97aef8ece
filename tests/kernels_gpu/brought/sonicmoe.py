"""SonicMoE: it compiles and tunes itself at its first call of a size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def sonicmoe(layer: Any) -> Callable[..., object]:
    """Its steps at inference, as its moe_TC_softmax_topk_layer takes them; the sum goes into `out`."""
    from quack.gemm_interface import gemm, gemm_gated  # noqa: PLC0415 - only where it is installed
    from sonicmoe import functional as sonic  # noqa: PLC0415
    from sonicmoe.functional.reduction_over_k_gather import token_gather_and_sum_varlen_K_triton  # noqa: PLC0415

    c = layer.config
    experts, k = c.n_experts, c.top_k
    # [E, 2 f, d], rows (gate, up) of each feature, and [E, d, f].
    w1 = torch.stack([layer.w_gate.mT, layer.w1.mT], dim=2).flatten(1, 2)
    w2 = layer.w2.mT.contiguous()
    router = layer.router_weight.T.contiguous()

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        logits = torch.nn.functional.linear(x, router)
        scores, ids = sonic.TC_Softmax_Topk_Router_Function.apply(logits, experts, k, True, False)
        pairs = ids.numel()
        places, back, rows, counts, starts = (
            torch.empty(n, dtype=torch.int32, device=x.device) for n in (pairs, pairs, pairs, experts, experts + 1)
        )
        sonic.TC_topk_router_metadata_triton(ids, experts, counts, starts, rows, places, back)
        hidden = x.new_empty((pairs, c.d_ff))
        gemm_gated(
            x, w1.mT, activation="swiglu", cu_seqlens_m=starts, A_idx=rows, postact_out=hidden, store_preact=False
        )
        y = x.new_empty((pairs, c.d_model))
        gemm(hidden, w2.mT, out=y, cu_seqlens_m=starts)
        weights = scores.view(-1)
        token_gather_and_sum_varlen_K_triton(y, weights, out, back, None, len(x), k, c.d_model, is_varlen_K=False)
        return None, ids, scores

    return forward
