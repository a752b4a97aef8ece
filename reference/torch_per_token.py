"""PyTorch, one token at a time: the published "unoptimised" form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from reference.torch_expert import prepare_expert, prepare_shared
from reference.torch_routing import prepare_router

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function."""
    route, ffn, add_shared = prepare_router(layer), prepare_expert(layer), prepare_shared(layer)

    @torch.inference_mode()
    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        ids, weights = route(x)
        out.zero_()
        for t, (experts, shares) in enumerate(zip(ids.tolist(), weights.tolist(), strict=True)):
            token = x[t : t + 1]
            for expert, share in zip(experts, shares, strict=True):
                out[t : t + 1].add_(ffn(expert, token), alpha=share)
        add_shared(x, out)
        return None, ids, weights

    return forward
