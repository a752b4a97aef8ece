"""Every router of the layer in NumPy. Ties go to the lowest expert id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from validation.workloads.layer import Layer, LayerConfig

    Floats = npt.NDArray[np.floating]
    Ids = npt.NDArray[np.int64]


def prepare_router(layer: Layer) -> Callable[[Floats], tuple[Ids, Floats]]:
    """Returns route(x [..., d]) -> expert ids and weights [..., k], heaviest first."""
    config = layer.config
    weight = layer.router_weight.numpy()
    bias = None if layer.router_bias is None else layer.router_bias.numpy()
    correction = None if layer.correction_bias is None else layer.correction_bias.numpy()

    def route(x: Floats) -> tuple[Ids, Floats]:
        logits: Floats = x @ weight
        if bias is not None:
            logits += bias
        if config.router == "sigmoid":
            share = _sigmoid(logits)
            order = _within_best_groups(share if correction is None else share + correction, config)
        else:
            share = np.exp(logits - logits.max(axis=-1, keepdims=True))
            share /= share.sum(axis=-1, keepdims=True)
            order = logits
        ids = np.argsort(-order, axis=-1, kind="stable")[..., : config.top_k]
        weights: Floats = np.take_along_axis(share, ids, axis=-1)
        if config.renormalize:
            weights /= weights.sum(axis=-1, keepdims=True)
        weights *= weights.dtype.type(config.routed_scaling)
        return ids, weights

    return route


def _sigmoid(logits: Floats) -> Floats:
    """Neither exponential overflows: exp of min(l, 0) over 1 + exp of -|l|."""
    scores: Floats = np.exp(np.minimum(logits, 0)) / (1 + np.exp(-np.abs(logits)))
    return scores


def _within_best_groups(scores: Floats, config: LayerConfig) -> Floats:
    """The scores of each token's best groups, by their two best scores; -inf elsewhere."""
    if config.top_groups == config.n_groups:
        return scores
    grouped = scores.reshape(*scores.shape[:-1], config.n_groups, scores.shape[-1] // config.n_groups)
    worth = np.sort(grouped, axis=-1)[..., -2:].sum(axis=-1)
    best = np.argsort(-worth, axis=-1, kind="stable")[..., : config.top_groups]
    kept = np.full(worth.shape, -np.inf, scores.dtype)
    np.put_along_axis(kept, best, 0, axis=-1)
    limited: Floats = (grouped + kept[..., np.newaxis]).reshape(scores.shape)
    return limited
