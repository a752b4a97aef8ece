"""Which experts a token may be sent to, and with which weights.

Logits carry an error bound eps, so near the boundary between the k-th and the next logit more than one choice is right.
A set S of k experts is legal when logits within their bounds exist that make it the top k:

    min over e in S of (logit_e + eps_e)  >=  max over e not in S of (logit_e - eps_e)

An expert whose margin to the boundary exceeds the two bounds is thereby forced in or out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Final

import numpy as np

from reference import oracle
from validation.correctness.bounds import FLUSH, Precision, sum_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from reference.oracle import Array, Ids, OracleLayer

#: A token with more legal sets than this is `unresolved` unless the candidate returns its ids.
MAX_SETS: Final = 64

#: Softmax evaluated in the accumulator: exp is good to a few units, the sum and the division to one each.
_SOFTMAX_UNITS: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """Logits [T, E] of a batch and what they may be off by.

    `lowest` and `highest` [T, E] enclose what an honest kernel orders the experts by. `relative` [T, E] is the bound of
    a logit's error (a weight is off by that share of itself), `typical` the size such an error really has: a few
    deviations of a sequential sum. `choice` [T, k] is the oracle's. `ambiguous` [T] tokens have another legal set.
    `finite` [T] is false where a logit is NaN or infinite: such a token's output must not be finite.
    """

    logits: Array
    lowest: Array
    highest: Array
    relative: Array
    typical: Array
    choice: Ids
    ambiguous: NDArray[np.bool_]
    finite: NDArray[np.bool_]


def route(x: Array, layer: OracleLayer, precision: Precision, *, exact: bool = False) -> Router:
    """Returns the router's view of tokens x [T, d]; `exact` promises logits that carry no error, so ties are exact.

    Logits have the error of a sum of d products and one rounding where they are stored. Ordering by probabilities
    instead of logits is legal too and adds softmax's own error; probabilities that underflow are all equal, so below
    ln(least normal) any order is legal.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        logits = oracle.router_logits(x, layer)
        relative, typical = _logit_error(x, layer, logits, precision)
        top = logits.max(axis=-1, keepdims=True)
        total = top + np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))
        eps = relative + precision.accumulate * (_SOFTMAX_UNITS + np.abs(logits - top)) + precision.store
        if exact:
            relative, typical, eps = np.zeros_like(logits), np.zeros_like(logits), np.zeros_like(logits)
        vanishing = total + np.log(max(FLUSH, precision.tiny))
        sinks = logits - eps < vanishing
        lowest = np.where(sinks & (not exact), -np.inf, logits - eps)
        highest = np.where(sinks & (not exact), np.maximum(logits + eps, vanishing), logits + eps)
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(logits).all(axis=-1))
    choice = oracle.top_k(logits, layer.top_k)
    ambiguous = finite & (_least_inside(lowest, choice) <= _most_outside(highest, choice))
    if layer.top_k == logits.shape[1]:
        ambiguous[:] = False
    return Router(
        logits=logits,
        lowest=lowest,
        highest=highest,
        relative=relative,
        typical=typical,
        choice=choice,
        ambiguous=ambiguous,
        finite=finite,
    )


def legal(router: Router, ids: Ids, *, lowest_id_wins: bool = False) -> NDArray[np.bool_]:
    """Whether each token's expert ids [T, k], which must be distinct and in range, are a legal set.

    With `lowest_id_wins` an expert left out must not tie exactly with a chosen one of a higher id.
    """
    allowed = _least_inside(router.highest, ids) >= _most_outside(router.lowest, ids)
    if lowest_id_wins:
        allowed &= (np.sort(ids, axis=-1) == np.sort(router.choice, axis=-1)).all(axis=-1) | ~_tied(router)
    return allowed | ~router.finite


def malformed(ids: Ids, n_experts: int) -> NDArray[np.bool_]:
    """Whether each token's expert ids [T, k] hold one out of range or one twice."""
    ordered = np.sort(ids, axis=-1)
    repeated = (ordered[:, 1:] == ordered[:, :-1]).any(axis=-1)
    return np.asarray(repeated | (ordered[:, 0] < 0) | (ordered[:, -1] >= n_experts))


def weights_and_bounds(
    router: Router, tokens: NDArray[np.int64], ids: Ids, precision: Precision, *, renormalize: bool
) -> tuple[Array, Array, Array]:
    """Weights [n, k] of the experts `ids` [n, k] of `tokens` [n], their error bounds and their typical errors.

    From w_e = exp(l_e) / sum exp(l_j): an error delta_j of each logit changes w_e by the factor
    exp(delta_e - sum w_j delta_j) to first order, hence at most expm1(eps_e + sum w_j eps_j); exp and division add
    their own units, and probability and weight are each rounded where they are stored. A weight stays within [0, 1].
    """
    logits = router.logits[tokens]
    weights = oracle.gate_weights(logits, ids, renormalize=renormalize)
    units = precision.accumulate * (_SOFTMAX_UNITS + np.abs(logits - logits.max(axis=-1, keepdims=True)))
    bounds = []
    # The typical error leaves the weights' own roundings to the gate on effective bits, which counts them.
    for error, stored in ((router.relative[tokens], 3.0 * precision.store), (router.typical[tokens], 0.0)):
        own = np.take_along_axis(error, ids, axis=-1)
        if renormalize:
            others = (weights * own).sum(axis=-1, keepdims=True)
        else:
            others = (oracle.softmax(logits) * error).sum(axis=-1, keepdims=True)
        exponent = np.minimum(own + others + np.take_along_axis(units, ids, axis=-1), 50.0)
        bounds.append(np.minimum(weights * (np.expm1(exponent) + stored), 1.0) + precision.tiny)
    return weights, bounds[0], bounds[1]


def legal_sets(router: Router, token: int) -> Iterator[tuple[int, ...]] | None:
    """The legal sets of an ambiguous token, likeliest experts first, or None when there are more than MAX_SETS.

    Experts whose weight vanishes are interchangeable, so only the first of them stand for all.
    """
    lowest, highest = router.lowest[token], router.highest[token]
    k = router.choice.shape[1]
    order = np.argsort(-router.logits[token], kind="stable")
    # In for certain: fewer than k others may exceed it. Out for certain: k others do.
    may_exceed = np.sort(highest)[::-1]
    sure = [int(e) for e in order if lowest[e] > may_exceed[k]] if len(order) > k else [int(e) for e in order]
    boundary = np.sort(lowest)[::-1][k - 1]
    open_ = [int(e) for e in order if int(e) not in sure and highest[e] >= boundary]
    free = k - len(sure)
    vanishing = [e for e in open_ if lowest[e] == -np.inf]
    living = [e for e in open_ if lowest[e] > -np.inf]
    fewest = max(0, free - len(vanishing))
    if sum(comb(len(living), n) for n in range(fewest, min(free, len(living)) + 1)) > MAX_SETS:
        return None
    drawn = (
        (*sure, *chosen, *vanishing[: free - n])
        for n in range(fewest, min(free, len(living)) + 1)
        for chosen in combinations(living, n)
    )
    return (ids for ids in drawn if legal_one(lowest, highest, ids))


def legal_one(lowest: Array, highest: Array, ids: tuple[int, ...]) -> bool:
    """Whether one token's distinct expert ids are a legal set."""
    outside = np.delete(lowest, list(ids))
    return bool(outside.size == 0 or highest[list(ids)].min() >= outside.max())


def _logit_error(x: Array, layer: OracleLayer, logits: Array, precision: Precision) -> tuple[Array, Array]:
    """Bound and typical size [T, E] of the error of a logit."""
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


def _least_inside(values: Array, ids: Ids) -> Array:
    least: Array = np.take_along_axis(values, ids, axis=-1).min(axis=-1)
    return least


def _most_outside(values: Array, ids: Ids) -> Array:
    outside = values.copy()
    np.put_along_axis(outside, ids, -np.inf, axis=-1)
    most: Array = outside.max(axis=-1)
    return most


def _tied(router: Router) -> NDArray[np.bool_]:
    """Whether the k-th logit and the best one left out are exactly equal."""
    inside = _least_inside(router.logits, router.choice)
    return np.asarray(inside == _most_outside(router.logits, router.choice))
