"""Softmax, top-k and renormalisation in PyTorch. Which of two exactly equal logits wins is torch.topk's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer


def prepare_router(layer: Layer) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Returns route(x [T, d]) -> expert ids and weights [T, k], heaviest first.

    Router arithmetic is float32 for every dtype: rounding logits to bfloat16 would make ties of near-ties.
    """
    weight = layer.router_weight.float()
    bias = None if layer.router_bias is None else layer.router_bias.float()
    top_k, renormalize = layer.config.top_k, layer.config.renormalize

    def route(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = x.float() @ weight if bias is None else torch.addmm(bias, x.float(), weight)
        if renormalize:  # the softmax over all experts cancels: exp(l_i) / sum over the chosen of exp(l_j)
            best, ids = logits.topk(top_k, dim=1)
            return ids, best.softmax(dim=1)
        weights, ids = logits.softmax(dim=1).topk(top_k, dim=1)
        return ids, weights

    return route
