"""Is this output right: every element, every token, the whole, and the routing when it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from validation.correctness.answers import Answers
from validation.correctness.comparison import Comparison, Criterion, failure
from validation.correctness.told import wrong_routing, wrong_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reference.oracle import Array, Ids
    from validation.correctness.expected import Expected

#: A token's own rms error may be this many times what the whole output's may be: rows differ, and d_model of them are
#: averaged. 4 is 2 bits.
_TOKEN_FACTOR: Final = 4.0

#: Fewer elements than this say nothing about an rms error.
_LEAST_ELEMENTS: Final = 16

#: Values that may each be off by `tiny` on the way to one output element, as an rms.
_TINY_STEPS: Final = 16.0

#: A k-sum that is stored after every term rounds k times, to p bits, partial sums whose mean square is half the last
#: one's where terms are independent, and a third where they are equal: k / 2 * 0.425^2 * 4^-p. Three times that, since
#: 16 elements are few. With k up to 8 it is lost in the other roundings; with 256 it is all there is.
_SUM_SHARE: Final = 3.0 * 0.425**2 / 2.0

#: Where the terms are equal all those roundings may go one way: by half a unit in the last place for each of the k / 2
#: terms of the last binade, half as much for the k / 4 of the one before, and so on, k s / 3 of the sum in all. With
#: eight terms that is less than the bits allow.
_ALIKE_TERMS: Final = 8
_ALIKE_SHARE: Final = 1.0 / 3.0

#: Shares of the tokens that may be routed in more than one way, and of those with too many ways to list, above which a
#: case proves nothing. METHOD: near-ties are capped so that they cannot excuse everything.
NEAR_TIE_CAP: Final = 0.5
UNRESOLVED_CAP: Final = 0.05


def compare(  # noqa: PLR0913 -- what was told, and what of it is asked
    expected: Expected,
    out: torch.Tensor,
    ids: torch.Tensor | None = None,
    weights: torch.Tensor | None = None,
    *,
    lowest_id_wins: bool = False,
    proves: bool = True,
) -> Comparison:
    """Judges an output [T, d], and the expert ids and weights [T, k] when they are told.

    Routing comes first; the output is then compared with the answers for the routing told. When it is not told, each
    token's is compared with that for the oracle's own, and where it does not fit that, with the best of all legal ones.
    `lowest_id_wins` holds the candidate to its promise about exact ties.
    Without `proves` nobody asks whether a pass proves anything (`mistrusted`), which takes as long as all the rest, nor
    for the effective bits.
    """
    shape = expected.answers.output.shape
    if tuple(out.shape) != shape or out.dtype != getattr(torch, expected.dtype):
        want = f"the output must be {list(shape)} {expected.dtype}"
        return failure(Criterion.SHAPE, f"{want}; got {list(out.shape)} {str(out.dtype).removeprefix('torch.')}")
    told = None if ids is None else _int64(ids)
    wrong = None if told is None else wrong_routing(expected, told, lowest_id_wins=lowest_id_wins)
    if wrong is None and told is not None and weights is not None:
        wrong = wrong_weights(expected, told, _float64(weights))
    if wrong is not None:
        return replace(wrong, near_ties=int(expected.router.ambiguous.sum()))
    values = _float64(out)
    answers, unresolved = _best(expected, values, told, lowest_id_wins=lowest_id_wins)
    judged = _judge(expected, answers, values, unresolved, bits=proves)
    if judged.passed and proves:
        return replace(judged, mistrusted=_vacuous(expected, answers, unresolved))
    return judged


def _float64(tensor: torch.Tensor) -> Array:
    return torch.as_tensor(tensor).detach().to("cpu", torch.float64).numpy()


def _int64(tensor: torch.Tensor) -> Ids:
    return torch.as_tensor(tensor).detach().to("cpu", torch.int64).numpy()


def _best(
    expected: Expected, values: Array, ids: Ids | None, *, lowest_id_wins: bool
) -> tuple[Answers, NDArray[np.int64]]:
    """The answers with every ambiguous token's put in for the routing told or the best legal one; unresolved tokens."""
    base = expected.answers
    if not expected.choices:
        return base, np.empty(0, dtype=np.int64)
    output, bound = base.output.copy(), base.bound.copy()
    energy, coherent = base.energy.copy(), base.coherent.copy()
    unresolved = []
    settled = _settled(expected, values, ids)
    for row, choices in expected.choices.items():
        if row in settled and (ids is not None or choices.sets is not None):
            continue
        if ids is not None:
            sets: tuple[tuple[int, ...], ...] = (tuple(int(i) for i in ids[row]),)
        elif lowest_id_wins and expected.exact_routing:
            continue
        elif choices.sets is None:
            unresolved.append(row)
            continue
        else:
            sets = choices.sets
        answers = expected.forced(row, sets)
        best = int(_ratio(values[row], answers.output, answers.bound).max(axis=1).argmin()) if len(sets) > 1 else 0
        output[row], bound[row] = answers.output[best], answers.bound[best]
        energy[row], coherent[row] = answers.energy[best], answers.coherent[best]
    filled = Answers(output=output, bound=bound, energy=energy, coherent=coherent)
    return filled, np.array(unresolved, dtype=np.int64)


def _settled(expected: Expected, values: Array, ids: Ids | None) -> frozenset[int]:
    """The ambiguous tokens that were routed as the oracle routes, or whose output says nothing else.

    Of tokens of 128 experts in bfloat16 every fourth may be routed otherwise, and working out all ways one token after
    the other took four fifths of what an output's check takes. Nearly all are routed as the oracle routes.
    """
    rows = np.fromiter(expected.choices, np.int64, len(expected.choices))
    if ids is not None:
        same = (np.sort(ids[rows], axis=-1) == np.sort(expected.router.choice[rows], axis=-1)).all(axis=-1)
        return frozenset(rows[same].tolist())
    base = expected.answers
    fits = (_ratio(values[rows], base.output[rows], base.bound[rows]) <= 1.0).all(axis=-1)
    asked = np.zeros(len(values), dtype=bool)
    asked[rows] = True
    noise, allowed = _rms(expected, base, values, asked)
    if noise.size:
        # `_rms` goes by row.
        quiet = np.zeros(len(values), dtype=bool)
        quiet[asked] = noise <= allowed
        fits &= quiet[rows]
    return frozenset(rows[fits].tolist())


def _ratio(values: Array, output: Array, bound: Array) -> Array:
    """Error over bound; inf where a bound of 0 is missed or a value is not finite."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        error = np.abs(values - output)
        ratio: Array = error / bound
    if not np.isfinite(ratio.max(initial=0.0)):
        ratio[(error == 0.0) | np.isinf(bound)] = 0.0
        ratio[np.isnan(ratio)] = np.inf
    return ratio


def _judge(
    expected: Expected, answers: Answers, values: Array, unresolved: NDArray[np.int64], *, bits: bool
) -> Comparison:
    near_ties = int(expected.router.ambiguous.sum())
    finite = expected.router.finite
    swallowed = ~finite & np.isfinite(values).any(axis=1)
    ratio = _ratio(values, answers.output, answers.bound)
    ratio[~finite] = 0.0
    # Too many legal routings to list: such a token is counted and capped, and must still be finite.
    ratio[unresolved] = np.where(np.isfinite(values[unresolved]), 0.0, np.inf)
    worst = float(ratio.max(initial=0.0))
    may_overflow = _may_overflow(answers)
    judged = finite & ~may_overflow
    judged[unresolved] = False
    noise, allowed = _rms(expected, answers, values, judged)
    failed = [
        criterion
        for criterion, wrong in (
            (Criterion.FINITE, bool(swallowed.any()) or not np.isfinite(_some(values, finite & ~may_overflow)).all()),
            (Criterion.BITWISE, expected.exact and worst > 0.0),
            (Criterion.ELEMENTWISE, not expected.exact and worst > 1.0),
            (Criterion.PER_TOKEN, bool((noise > _TOKEN_FACTOR**2 * allowed).any())),
            (Criterion.EFFECTIVE_BITS, bool(noise.mean() > allowed.mean()) if noise.size else False),
        )
        if wrong
    ]
    return Comparison(
        passed=not failed,
        failed=tuple(failed),
        worst=worst if np.isfinite(worst) else None,
        effective_bits=_bits(answers, values, judged) if bits else None,
        near_ties=near_ties,
        unresolved=len(unresolved),
        message=_message(failed, answers, values, ratio, swallowed, judged, noise, allowed) if failed else "",
    )


def _may_overflow(answers: Answers) -> NDArray[np.bool_]:
    """Tokens of which some element may overflow the dtype on the way: nothing can be asked of them."""
    return np.asarray(np.isinf(answers.bound).any(axis=1))


def _rms(expected: Expected, answers: Answers, values: Array, judged: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Mean square errors of the judged rows, and what they may be; nothing when there are too few elements."""
    d_model = values.shape[1]
    if expected.exact or d_model < _LEAST_ELEMENTS or not judged.any():
        return np.empty(0), np.empty(0)
    output = _some(answers.output, judged)
    with np.errstate(invalid="ignore", over="ignore"):
        noise = np.square(_some(values, judged) - output).mean(axis=1)
    noise = np.where(np.isfinite(noise), noise, np.inf)
    precision = expected.precision
    share = 4.0**-precision.bits + _SUM_SHARE * expected.slots * precision.store**2
    share += expected.terms * precision.accumulate**2
    size = np.square(output).mean(axis=1)
    scale = np.maximum(answers.energy[judged], size)
    alike = (_ALIKE_SHARE * max(0, expected.slots - _ALIKE_TERMS) * expected.precision.store) ** 2 * size
    # Values near zero are stored to within `tiny`; a few of those add up along the way.
    return noise, share * scale + alike + answers.coherent[judged] + (_TINY_STEPS * expected.precision.tiny) ** 2


def _some(rows: Array, which: NDArray[np.bool_]) -> Array:
    """The rows that are `which`: without a copy when all are, as in nearly every timed call."""
    return rows if which.all() else rows[which]


def _bits(answers: Answers, values: Array, judged: NDArray[np.bool_]) -> float | None:
    with np.errstate(invalid="ignore", over="ignore"):
        noise = float(np.square(values[judged] - answers.output[judged]).sum())
        size = float(np.square(answers.output[judged]).sum())
    if noise == 0.0 or size == 0.0 or not np.isfinite(noise):
        return None
    return 0.5 * float(np.log2(size / noise))


def _vacuous(expected: Expected, answers: Answers, unresolved: NDArray[np.int64]) -> str:
    """Why a pass proves nothing, or nothing."""
    tokens = len(answers.output)
    output = answers.output[expected.router.finite]
    if output.size == 0:
        return ""
    zeros = output.size - np.count_nonzero(output)
    near_ties = 0 if expected.exact_routing else int(expected.router.ambiguous.sum())
    overflowing = int(_may_overflow(answers).sum())
    silent = np.where(np.isnan(answers.output), np.nan, 0.0)
    reasons = (
        (zeros * 2 > output.size, f"{zeros} of {output.size} elements of the answer are zero"),
        (
            near_ties > max(1.0, NEAR_TIE_CAP * tokens),
            f"{near_ties} of {tokens} tokens may be routed in more than one way",
        ),
        (
            len(unresolved) > max(1.0, UNRESOLVED_CAP * tokens),
            f"{len(unresolved)} of {tokens} tokens have too many legal routings to list",
        ),
        (overflowing > UNRESOLVED_CAP * tokens, f"{overflowing} of {tokens} tokens may overflow the dtype on the way"),
        (_judge(expected, answers, silent, unresolved, bits=False).passed, "a kernel returning zeros would pass"),
    )
    return next((reason for holds, reason in reasons if holds), "")


def _message(  # noqa: PLR0913, PLR0917 -- everything that may be said
    failed: list[Criterion],
    answers: Answers,
    values: Array,
    ratio: Array,
    swallowed: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    noise: Array,
    allowed: Array,
) -> str:
    """Every criterion failed, and the first element or token that fails the first of them."""
    first, names = failed[0], ", ".join(failed)
    if first is Criterion.FINITE and swallowed.any():
        token = int(swallowed.argmax())
        return f"{names}: token {token} has a NaN or infinity among its logits, so its output must not be finite"
    limit = 0.0 if first is Criterion.BITWISE else 1.0
    if first in {Criterion.FINITE, Criterion.BITWISE, Criterion.ELEMENTWISE}:
        bad = ratio > limit
        token, element = (int(i) for i in np.argwhere(bad)[0])
        return (
            f"{names}: token {token}, element {element}: must be {answers.output[token, element]:.8g} within"
            f" {answers.bound[token, element]:.2g}; got {values[token, element]:.8g}"
            f" ({int(bad.sum())} of {bad.size} elements wrong, worst error/bound {ratio.max():.3g})"
        )
    if first is Criterion.PER_TOKEN:
        over = noise / allowed
        token = int(np.flatnonzero(judged)[over.argmax()])
        return f"{names}: token {token} has {np.sqrt(over.max()):.3g} times the rms error that the dtype allows"
    return f"{names}: the rms error is {np.sqrt(noise.mean() / allowed.mean()):.3g} times what the dtype allows"
