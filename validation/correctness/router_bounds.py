"""How far an honest router may be from the oracle: its logits, what it orders experts by, and its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import expit

from reference import oracle
from validation.correctness.bounds import FLUSH, Precision, certain, probable, sum_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reference.oracle import Array, Ids, OracleLayer, RouterRule
    from validation.correctness.legality import Router

#: Softmax or sigmoid evaluated in the accumulator: exp is good to a few units, the sum and the division to one each.
_UNITS: Final = 8.0

#: Some kernels add this to the sum that a sigmoid router's weights are divided by, as DeepSeek-V3's own code does.
_AGAINST_ZERO: Final = 1e-20


def logit_error(x: Array, layer: OracleLayer, logits: Array, precision: Precision) -> tuple[Array, Array]:
    """Bound and typical size [T, E] of the error of a logit: a sum of d products, and a rounding where it is stored."""
    size, weights = np.abs(x), np.abs(layer.router)
    bias = np.zeros(weights.shape[1]) if layer.router_bias is None else layer.router_bias
    length = weights.shape[0] + (layer.router_bias is not None)
    error = sum_error(logits, size @ weights + np.abs(bias), length, precision.accumulate)
    stored = precision.store * (np.abs(logits) + (np.abs(logits - bias) if layer.router_bias is not None else 0.0))
    flushed = FLUSH * (length + weights.sum(axis=0) + size.sum(axis=1, keepdims=True)) + precision.tiny
    # A sequential sum of n terms of both signs is off by 0.28 sqrt(n) u times its size, one deviation: this is 3.6.
    walk = np.sqrt(np.square(x) @ np.square(layer.router) + np.square(bias))
    typical = precision.accumulate * np.sqrt(length) * walk + error.coherent + stored + flushed
    return error.random + error.coherent + stored + flushed, typical


def softmax_interval(logits: Array, error: Array, precision: Precision, *, exact: bool) -> tuple[Array, Array]:
    """What encloses the logits [T, E] that an honest softmax router orders its experts by.

    Ordering by probabilities instead of logits is legal too and adds softmax's own error; probabilities that underflow
    are all equal, so below ln(least normal) any order is legal. `exact` logits are ordered as they are.
    """
    if exact:
        return logits, logits
    top = logits.max(axis=-1, keepdims=True)
    total = top + np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))
    eps = error + precision.accumulate * (_UNITS + np.abs(logits - top)) + precision.store
    vanishing = total + np.log(max(FLUSH, precision.tiny))
    sinks = logits - eps < vanishing
    lowest = np.where(sinks, -np.inf, logits - eps)
    return lowest, np.where(sinks, np.maximum(logits + eps, vanishing), logits + eps)


def sigmoid_interval(logits: Array, error: Array, scores: Array, precision: Precision) -> tuple[Array, Array]:
    """What encloses the scores [T, E], sigmoid plus correction, that an honest sigmoid router orders its experts by.

    The sigmoid s of a logit that is off by delta is off by at most s (1 - s) expm1(delta), for s(l + delta) / s(l) is
    1 / (s + (1 - s) exp(-delta)). Its own evaluation, the addition and a rounding of either come on top.
    """
    sigmoid = expit(logits)
    size = sigmoid + np.abs(scores)
    eps = sigmoid * _sigmoid_error(logits, error, precision) + precision.accumulate * size
    eps += precision.store * size + precision.tiny + FLUSH
    return scores - eps, scores + eps


def weights_and_bounds(
    router: Router, tokens: NDArray[np.int64], ids: Ids, precision: Precision, rule: RouterRule
) -> tuple[Array, Array, Array]:
    """Weights [n, k] of the experts `ids` [n, k] of `tokens` [n], their error bounds and their typical errors.

    Softmax. From w_e = exp(l_e) / sum exp(l_j): an error delta_j of each logit changes w_e by the factor
    exp(delta_e - sum w_j delta_j) to first order, hence at most expm1(eps_e + sum w_j eps_j); exp and division add
    their own units. Sigmoid. The same with the relative error of each score in eps's place, and no sum unless weights
    are renormalised. Probability, weight and scaled weight are each rounded where they are stored. Before it is scaled
    a weight stays within [0, 1].
    """
    logits = router.logits[tokens]
    weights = oracle.gate_weights(logits, ids, rule)
    share = weights / rule.scaling
    units = precision.accumulate * (_UNITS + np.abs(logits - logits.max(axis=-1, keepdims=True)))
    chosen = np.take_along_axis(logits, ids, axis=-1)
    over_all = not rule.renormalize and rule.kind == "softmax"
    # Terms of one sign, which may be equal: their roundings may agree.
    terms = logits.shape[-1] if over_all else ids.shape[-1]
    roundings = (3.0 + (rule.scaling != 1.0)) * precision.store
    bounds = []
    # The typical error leaves the weights' own roundings to the gate on effective bits, which counts them.
    for error, stored, summed in (
        (router.relative[tokens], roundings, certain(terms, precision.accumulate)),
        (router.typical[tokens], 0.0, precision.accumulate * terms**0.5),
    ):
        own = np.take_along_axis(error, ids, axis=-1)
        if rule.kind == "sigmoid":
            own = _sigmoid_error(chosen, own, precision)
            others = _renormalised_error(share, own, chosen, precision) if rule.renormalize else 0.0
            exponent = own + others + (summed if rule.renormalize else 0.0)
        else:
            others = (oracle.softmax(logits) * error if over_all else share * own).sum(axis=-1, keepdims=True)
            exponent = own + others + np.take_along_axis(units, ids, axis=-1) + summed
        exponent = np.minimum(exponent, 50.0)
        bounds.append(rule.scaling * np.minimum(share * (np.expm1(exponent) + stored), 1.0) + precision.tiny)
    return weights, bounds[0], bounds[1]


def loss_and_bound(router: Router, ids: Ids, precision: Precision, rule: RouterRule) -> tuple[float, float]:
    """The load-balancing loss of a batch whose tokens went to `ids` [T, k], and how far an honest one may be from it.

    f_e is counted exactly. A share is off as a weight over all experts is; T shares of one sign are summed, and E
    products. The roundings of the last steps are one unit each.
    """
    loss = oracle.balance_loss(router.logits, ids, rule)
    tokens, experts = router.logits.shape
    if tokens == 0:
        return loss, 0.0
    over_all = oracle.RouterRule(kind=rule.kind, renormalize=rule.kind == "sigmoid")
    every = np.broadcast_to(np.arange(experts), (tokens, experts))
    _, off, _ = weights_and_bounds(router, np.arange(tokens), every, precision, over_all)
    chosen = np.bincount(ids.ravel(), minlength=experts) / tokens
    carried = experts * float(chosen @ off.mean(axis=0))
    return loss, carried + loss * (probable(tokens + experts, precision.accumulate) + 4.0 * precision.accumulate)


def _sigmoid_error(logits: Array, error: Array, precision: Precision) -> Array:
    """The relative error of the sigmoid of logits that are off by `error`, its own evaluation included."""
    complement = expit(-logits)
    units = precision.accumulate * (_UNITS + np.abs(logits) * complement)
    bound: Array = complement * np.expm1(np.minimum(error, 50.0)) + units
    return bound


def _renormalised_error(share: Array, own: Array, logits: Array, precision: Precision) -> Array:
    """What the sum of scores adds to a weight's relative error: theirs, what guards it against 0, and underflow."""
    total = expit(logits).sum(axis=-1, keepdims=True)
    lost = _AGAINST_ZERO + logits.shape[-1] * max(FLUSH, precision.tiny)
    error: Array = (share * own).sum(axis=-1, keepdims=True) + lost / total
    return error
