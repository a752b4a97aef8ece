"""PyTorch, a loop over experts that picks each expert's tokens: the published "optimised" form, and Mixtral's."""

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
        for expert in range(layer.config.n_experts):
            rows, slots = torch.where(ids == expert)
            if len(rows) == 0:
                continue
            answer = ffn(expert, x[rows])
            answer *= weights[rows, slots, None].to(x.dtype)
            out.index_add_(0, rows, answer)
        add_shared(x, out)
        return None, ids, weights

    return forward
