"""PyTorch, (token, slot) pairs sorted by expert once: each expert's rows are then a slice, and combine is one sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from reference.torch_dispatch import combine, dispatch
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
        order, counts = dispatch(ids, layer.config.n_experts)
        groups = x[order // layer.config.top_k].split_with_sizes(counts.tolist())
        answers = torch.cat([ffn(expert, rows) for expert, rows in enumerate(groups) if len(rows)] or [x])
        combine(answers, order, weights, out)
        add_shared(x, out)
        return None, ids, weights

    return forward
