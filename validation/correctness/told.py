"""Is the routing right that a kernel tells: ids a legal set, weights within their bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from validation.correctness import legality, router_bounds
from validation.correctness.comparison import Comparison, Criterion, failure

if TYPE_CHECKING:
    from reference.oracle import Array, Ids
    from validation.correctness.expected import Expected


def wrong_routing(expected: Expected, ids: Ids, *, lowest_id_wins: bool) -> Comparison | None:
    """Returns how expert ids [T, k] that were told are no legal routing, or None."""
    if ids.shape != expected.router.choice.shape:
        want = list(expected.router.choice.shape)
        return failure(Criterion.ROUTING, f"expert ids must be {want}; got {list(ids.shape)}")
    if ids.size == 0:
        return None
    malformed = legality.malformed(ids, expected.n_experts)
    if malformed.any():
        token = int(malformed.argmax())
        rule = f"distinct and in [0, {expected.n_experts})"
        return failure(Criterion.ROUTING, f"token {token}: expert ids must be {rule}; got {_some(ids[token])}")
    allowed = legality.legal(expected.router, ids, lowest_id_wins=lowest_id_wins and expected.exact_routing)
    if allowed.all():
        return None
    token = int(allowed.argmin())
    choice = np.sort(expected.router.choice[token])
    margin = "exact ties go to the lowest id" if lowest_id_wins else "no logit error allowed here explains another set"
    message = f"token {token}: experts must be {_some(choice)} ({margin}); got {_some(np.sort(ids[token]))}"
    return failure(Criterion.ROUTING, message)


def wrong_weights(expected: Expected, ids: Ids, weights: Array) -> Comparison | None:
    """Returns how expert weights [T, k] that were told are beyond their bound, or None."""
    if weights.shape != ids.shape:
        return failure(Criterion.WEIGHTS, f"expert weights must be {list(ids.shape)}; got {list(weights.shape)}")
    if ids.size == 0:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        right, bound, _ = router_bounds.weights_and_bounds(
            expected.router, np.arange(len(ids)), ids, expected.precision, expected.rule
        )
        close = (np.abs(weights - right) <= bound) | ~expected.router.finite[:, None]
    if close.all():
        return None
    token, slot = (int(i) for i in np.argwhere(~close)[0])
    message = (
        f"token {token}, expert {ids[token, slot]}: the weight must be {right[token, slot]:.6g} within"
        f" {bound[token, slot]:.2g}; got {weights[token, slot]:.6g}"
    )
    return failure(Criterion.WEIGHTS, message)


def _some(ids: Ids) -> str:
    shown = ", ".join(str(int(i)) for i in ids[:8])
    return f"[{shown}{', ...' if len(ids) > 8 else ''}]"  # noqa: PLR2004 -- enough to recognise a set by
