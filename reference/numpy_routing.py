"""The router in NumPy: softmax, top-k, renormalisation. Ties go to the lowest expert id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from validation.workloads.layer import Layer

    Floats = npt.NDArray[np.floating]
    Ids = npt.NDArray[np.int64]


def prepare_router(layer: Layer) -> Callable[[Floats], tuple[Ids, Floats]]:
    """Returns route(x [..., d]) -> expert ids and weights [..., k], heaviest first."""
    top_k, renormalize = layer.config.top_k, layer.config.renormalize
    weight = layer.router_weight.numpy()
    bias = None if layer.router_bias is None else layer.router_bias.numpy()

    def route(x: Floats) -> tuple[Ids, Floats]:
        logits: Floats = x @ weight
        if bias is not None:
            logits += bias
        ids = np.argsort(-logits, axis=-1, kind="stable")[..., :top_k]
        share = np.exp(logits - logits.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        weights: Floats = np.take_along_axis(share, ids, axis=-1)
        if renormalize:
            weights /= weights.sum(axis=-1, keepdims=True)
        return ids, weights

    return route
