"""NumPy, grouped by expert: the tokens of each expert go through its matmuls together, in float32.

The honest NumPy baseline: BLAS does the work.
"""

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

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        tokens, result = x.numpy(), out.numpy()
        ids, weights = route(tokens)
        result[...] = 0
        for expert in range(layer.config.n_experts):
            rows, slots = np.nonzero(ids == expert)
            if len(rows) == 0:
                continue
            answer = ffn(expert, tokens[rows])
            answer *= weights[rows, slots, np.newaxis]
            result[rows] += answer  # a token has an expert once, so no row occurs twice
        add_shared(tokens, result)
        return None, ids, weights

    return forward
