"""NumPy, one token at a time: matrix-vector products, so every token reads its experts' weights again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reference.numpy_expert import prepare_expert, prepare_shared
from reference.numpy_routing import prepare_router

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from validation.workloads.layer import Layer


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function."""
    route, ffn, add_shared = prepare_router(layer), prepare_expert(layer), prepare_shared(layer)
    top_k = layer.config.top_k

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        tokens, result = x.numpy(), out.numpy()
        ids = np.empty((len(tokens), top_k), np.int64)
        weights = np.empty((len(tokens), top_k), tokens.dtype)
        for t, token in enumerate(tokens):
            ids[t], weights[t] = route(token)
            result[t] = 0
            for expert, weight in zip(ids[t], weights[t], strict=True):
                result[t] += weight * ffn(expert, token)
        add_shared(tokens, result)
        return None, ids, weights

    return forward
