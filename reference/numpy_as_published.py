"""NumPy as the published comparison ran it: grouped by expert, but with float64 weights.

The published class drew its weights with `np.random.randn`, which gives float64, and fed it float32 tokens: NumPy then
converts the tokens at every product and works in float64, at half the speed and twice the bytes. Kept as it was: the
boolean masks per expert, `argpartition` for the top k, float64 throughout, the output in float32.
Source: albertoelopez/MoeKernel, benchmarks/quick_cross_language_comparison.py, class NumpyMOE.

What the published layer lacked (biases, gates, other activations) is done in the same manner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reference.numpy_activation import ACTIVATIONS
from reference.published_layer import require_published

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import torch

    from validation.workloads.layer import Layer


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function over float64 copies of the weights: made here, so that no call pays for them."""
    require_published(layer, "numpy_as_published")
    config = layer.config
    activate = ACTIVATIONS[config.activation]
    router, w1, w2 = _float64(layer.router_weight), _float64(layer.w1), _float64(layer.w2)
    router_bias, b1, b2, w_gate = (
        None if tensor is None else _float64(tensor) for tensor in (layer.router_bias, layer.b1, layer.b2, layer.w_gate)
    )

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        tokens, result = x.numpy(), out.numpy()
        logits = np.dot(tokens, router)
        if router_bias is not None:
            logits += router_bias
        shares = np.exp(logits - np.max(logits, axis=1, keepdims=True))
        shares /= np.sum(shares, axis=1, keepdims=True)
        ids = np.argpartition(shares, -config.top_k, axis=1)[:, -config.top_k :]
        weights = np.take_along_axis(shares, ids, axis=1)
        if config.renormalize:
            weights = weights / np.sum(weights, axis=1, keepdims=True)
        result[...] = 0
        for expert in range(config.n_experts):
            chosen = ids == expert
            rows = np.any(chosen, axis=1)
            if not np.any(rows):
                continue
            own = tokens[rows]
            hidden = np.dot(own, w1[expert])
            if b1 is not None:
                hidden = hidden + b1[expert]
            if w_gate is None:
                activate(hidden)
            else:
                opening = np.dot(own, w_gate[expert])
                activate(opening)
                hidden = hidden * opening
            answer = np.dot(hidden, w2[expert])
            if b2 is not None:
                answer = answer + b2[expert]
            result[rows] += weights[rows][chosen[rows]][:, np.newaxis] * answer
        return None, ids, weights

    return forward


def _float64(tensor: torch.Tensor) -> npt.NDArray[np.float64]:
    return tensor.numpy().astype(np.float64)
