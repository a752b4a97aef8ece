"""Which experts a token may be sent to.

What experts are ordered by carries an error bound eps, so near the boundary between the k-th and the next more than one
choice is right. A set S of k experts is legal when scores within their bounds exist that make it the top k:

    min over e in S of (score_e + eps_e)  >=  max over e not in S of (score_e - eps_e)

An expert whose margin to the boundary exceeds the two bounds is thereby forced in or out. Where a router first chooses
groups of experts, a set of groups is legal by the same rule, and S must be legal among the experts of a legal one. (The
errors of a group and of its experts are taken as independent: what is legal only so is a near tie of two near ties.)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, combinations
from math import comb
from typing import TYPE_CHECKING, Final

import numpy as np

from reference import oracle
from validation.correctness import router_bounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from reference.oracle import Array, Ids, OracleLayer
    from validation.correctness.bounds import Precision

#: A token with more legal sets than this is `unresolved` unless the candidate returns its ids.
MAX_SETS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """Logits [T, E] of a batch and what they may be off by.

    `scores` [T, E] order the experts; `lowest` and `highest` enclose what an honest kernel orders them by. `relative`
    [T, E] is the bound of a logit's error (a softmax weight is off by that share of itself), `typical` the size such an
    error really has: a few deviations of a sequential sum. `choice` [T, k] is the oracle's.

    `groups` [T, m] are the groups that the oracle chooses within, `group_lowest` and `group_highest` [T, G] enclose
    what an honest kernel orders groups by; a router without groups has one, m = G = 1.

    `ambiguous` [T] tokens have another legal set. `finite` [T] is false where a logit is NaN or infinite: such a
    token's output must not be finite.
    """

    logits: Array
    scores: Array
    lowest: Array
    highest: Array
    relative: Array
    typical: Array
    choice: Ids
    groups: Ids
    group_lowest: Array
    group_highest: Array
    ambiguous: NDArray[np.bool_]
    finite: NDArray[np.bool_]


def route(x: Array, layer: OracleLayer, precision: Precision, *, exact: bool = False) -> Router:
    """Returns the router's view of tokens x [T, d]; `exact` promises logits that carry no error, so ties are exact."""
    rule = layer.rule
    with np.errstate(invalid="ignore", over="ignore"):
        logits = oracle.router_logits(x, layer)
        scores = oracle.choice_scores(logits, layer)
        relative, typical = router_bounds.logit_error(x, layer, logits, precision)
        if exact:
            relative, typical = np.zeros_like(logits), np.zeros_like(logits)
        if rule.kind == "sigmoid":
            lowest, highest = router_bounds.sigmoid_interval(logits, relative, scores, precision)
        else:
            lowest, highest = router_bounds.softmax_interval(logits, relative, precision, exact=exact)
        groups, group_lowest, group_highest = _groups(scores, highest - scores, layer, precision)
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(logits).all(axis=-1))
    choice = oracle.choose(logits, layer)
    router = Router(
        logits=logits,
        scores=scores,
        lowest=lowest,
        highest=highest,
        relative=relative,
        typical=typical,
        choice=choice,
        groups=groups,
        group_lowest=group_lowest,
        group_highest=group_highest,
        ambiguous=np.zeros_like(finite),
        finite=finite,
    )
    router.ambiguous[:] = finite & (_open_to_another(router) | _groups_open(router))
    return router


def legal(router: Router, ids: Ids, *, lowest_id_wins: bool = False) -> NDArray[np.bool_]:
    """Whether each token's expert ids [T, k], which must be distinct and in range, are a legal set.

    With `lowest_id_wins` an expert left out must not tie exactly with a chosen one of a higher id, where the groups are
    certain: sums of two sigmoids tie that no rounding makes equal (of 1 and -1, and of 2 and -2).
    """
    lowest, highest = _within(router, router.lowest), _within(router, router.highest)
    allowed = _least_inside(highest, ids) >= _most_outside(lowest, ids)
    for token in np.flatnonzero(~allowed & _groups_open(router) & router.finite):
        views = _views(router, int(token))
        chosen = tuple(int(e) for e in ids[token])
        allowed[token] = views is None or any(legal_one(lowest, highest, chosen) for lowest, highest in views)
    if lowest_id_wins:
        same = (np.sort(ids, axis=-1) == np.sort(router.choice, axis=-1)).all(axis=-1)
        allowed &= same | ~_tied(router) | _groups_open(router)
    return allowed | ~router.finite


def malformed(ids: Ids, n_experts: int) -> NDArray[np.bool_]:
    """Whether each token's expert ids [T, k] hold one out of range or one twice."""
    ordered = np.sort(ids, axis=-1)
    repeated = (ordered[:, 1:] == ordered[:, :-1]).any(axis=-1)
    return np.asarray(repeated | (ordered[:, 0] < 0) | (ordered[:, -1] >= n_experts))


def legal_sets(router: Router, token: int) -> Iterator[tuple[int, ...]] | None:
    """The legal sets of an ambiguous token, likeliest experts first, or None when there are more than MAX_SETS.

    Experts whose weight vanishes are interchangeable, so only the first of them stand for all.
    """
    views = _views(router, token)
    if views is None:
        return None
    found = [_sets(router.scores[token], lowest, highest, router.choice.shape[1]) for lowest, highest in views]
    listed = [sets for sets in found if sets is not None]
    return None if len(listed) < len(found) else iter(dict.fromkeys(chain.from_iterable(listed)))


def legal_one(lowest: Array, highest: Array, ids: tuple[int, ...]) -> bool:
    """Whether one token's distinct ids are a legal set."""
    outside = np.delete(lowest, list(ids))
    return bool(outside.size == 0 or highest[list(ids)].min() >= outside.max())


def _sets(scores: Array, lowest: Array, highest: Array, k: int) -> Iterator[tuple[int, ...]] | None:
    """The legal sets of k, likeliest first, or None when there are more than MAX_SETS."""
    order = np.argsort(-scores, kind="stable")
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


def _groups(scores: Array, eps: Array, layer: OracleLayer, precision: Precision) -> tuple[Ids, Array, Array]:
    """The oracle's groups [T, m], and the lower and upper ends [T, G] of what groups are worth.

    The best of a group is off by no more than the worst of its errors, and so is the second: their sum by twice that,
    and its own rounding.
    """
    rule = layer.rule
    worth = oracle.group_scores(scores, rule.n_groups)
    worst = eps.reshape(len(scores), rule.n_groups, scores.shape[1] // rule.n_groups).max(axis=-1)
    off = 2.0 * worst + (precision.accumulate + precision.store) * np.abs(worth)
    return oracle.top_k(worth, rule.top_groups), worth - off, worth + off


def _groups_open(router: Router) -> NDArray[np.bool_]:
    """Whether each token may be sent within other groups than the oracle's."""
    if router.groups.shape[1] == router.group_lowest.shape[1]:
        return np.zeros(len(router.logits), dtype=bool)
    inside = _least_inside(router.group_lowest, router.groups)
    return np.asarray(inside <= _most_outside(router.group_highest, router.groups))


def _open_to_another(router: Router) -> NDArray[np.bool_]:
    """Whether each token has another legal set within the oracle's groups."""
    lowest, highest = _within(router, router.lowest), _within(router, router.highest)
    group = router.logits.shape[1] // router.group_lowest.shape[1]
    if router.choice.shape[1] == group * router.groups.shape[1]:
        return np.zeros(len(router.logits), dtype=bool)
    return np.asarray(_least_inside(lowest, router.choice) <= _most_outside(highest, router.choice))


def _within(router: Router, values: Array) -> Array:
    """Values [T, E], -inf outside of the oracle's groups."""
    n_groups = router.group_lowest.shape[1]
    return values if router.groups.shape[1] == n_groups else oracle.within(values, router.groups, n_groups)


def _views(router: Router, token: int) -> list[tuple[Array, Array]] | None:
    """Lower and upper ends [E] of one token's experts within each legal set of groups; None when those are too many."""
    lowest, highest = router.lowest[token], router.highest[token]
    n_groups, wanted = router.group_lowest.shape[1], router.groups.shape[1]
    if wanted == n_groups:
        return [(lowest, highest)]
    own_lowest, own_highest = router.group_lowest[token], router.group_highest[token]
    sets = _sets((own_lowest + own_highest) / 2.0, own_lowest, own_highest, wanted)
    if sets is None:
        return None
    chosen = np.array(list(sets), dtype=np.int64)
    both = (oracle.within(np.tile(values, (len(chosen), 1)), chosen, n_groups) for values in (lowest, highest))
    return list(zip(*both, strict=True))


def _least_inside(values: Array, ids: Ids) -> Array:
    least: Array = np.take_along_axis(values, ids, axis=-1).min(axis=-1)
    return least


def _most_outside(values: Array, ids: Ids) -> Array:
    outside = values.copy()
    np.put_along_axis(outside, ids, -np.inf, axis=-1)
    most: Array = outside.max(axis=-1)
    return most


def _tied(router: Router) -> NDArray[np.bool_]:
    """Whether the k-th score and the best one left out are exactly equal."""
    scores = _within(router, router.scores)
    return np.asarray(_least_inside(scores, router.choice) == _most_outside(scores, router.choice))
