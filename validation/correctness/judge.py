"""From what a candidate did to a Case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from validation.correctness.case import Case, Outcome
from validation.correctness.compare import compare
from validation.correctness.comparison import Criterion
from validation.correctness.spec import PLAIN, TILE, Check, LayerVariant
from validation.workloads.shape import shape_string

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.correctness.attempt import Attempt
    from validation.correctness.comparison import Comparison
    from validation.correctness.question import Call, Question
    from validation.correctness.spec import CaseSpec

#: Of layers with more experts, which whoever counts them in 8 bits cannot have, any candidate may say no.
MOST_EXPERTS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Who is judged, and by what.

    `required` is the variant of the layer it is for: declining another, a width that is no multiple of 16, or an input
    without tokens is `not_supported`, not wrong; so is taking every x for a contiguous one. A `strict` candidate may do
    none of that.
    With `lowest_id_wins` it is held to its promise that exact ties go to the lowest expert id; otherwise any of the
    tied will do. `repro` begins the line that re-runs a case.
    """

    name: str
    required: LayerVariant = PLAIN
    strict: bool = False
    lowest_id_wins: bool = False
    repro: str = "moe-validation check"


def judge(spec: CaseSpec, question: Question, attempts: Sequence[Attempt], candidate: Candidate) -> Case:
    """Returns the case: what the attempts at the question's calls amount to."""
    config = spec.workload.layer
    if _declined(spec, attempts, candidate):
        outcome, message = Outcome.NOT_SUPPORTED, attempts[0].raised
        compared: list[Comparison] = []
    else:
        outcome, message, compared = _outcome(question, attempts, candidate)
        if outcome is Outcome.FAILED and _may_spread(spec, candidate) and compared and _spreads(compared[-1]):
            outcome, message = Outcome.NOT_SUPPORTED, f"at odd widths a NaN behind a row reaches it: {message}"
    worsts = [one.worst for one in compared]
    bits = [one.effective_bits for one in compared if one.effective_bits is not None]
    return Case(
        id=spec.id,
        check=spec.check,
        implementation=candidate.name,
        dtype=config.dtype,
        shape=shape_string(spec.workload),
        outcome=outcome,
        worst=None if None in worsts else max((worst for worst in worsts if worst is not None), default=None),
        effective_bits=min(bits, default=None),
        near_ties=sum(one.near_ties for one in compared),
        message=message,
        repro=f"{candidate.repro} --case {spec.id}",
    )


def too_slow(spec: CaseSpec, candidate: Candidate, seconds: float) -> Case:
    """Returns the case as not asked, because a call on so many tokens would take about `seconds`."""
    return Case(
        id=spec.id,
        check=spec.check,
        implementation=candidate.name,
        dtype=spec.workload.layer.dtype,
        shape=shape_string(spec.workload),
        outcome=Outcome.NOT_SUPPORTED,
        message=f"not asked: {spec.workload.tokens} tokens would take it about {seconds:.0f} s",
        repro=f"{candidate.repro} --case {spec.id}",
    )


def _declined(spec: CaseSpec, attempts: Sequence[Attempt], candidate: Candidate) -> bool:
    """Whether the candidate said no to the very first call, and may."""
    config = spec.workload.layer
    if attempts and config.n_experts > MOST_EXPERTS:
        return attempts[0].declined
    if candidate.strict or not attempts:
        return False
    whole = config.d_model % TILE == 0 and config.d_ff % TILE == 0
    if spec.workload.tokens == 0:
        return attempts[0].refused
    return attempts[0].declined and not (whole and candidate.required.of(config) == config)


def _may_spread(spec: CaseSpec, candidate: Candidate) -> bool:
    """Whether a NaN behind a row may reach it: odd rows of 16-bit numbers are read in pairs.

    oneDNN's AMX products do so (PyTorch 2.13, Sapphire Rapids): the last pair takes in what follows the row, times
    zero. At even widths nobody may.
    """
    config = spec.workload.layer
    odd = config.d_model % 2 == 1 or config.d_ff % 2 == 1
    return spec.check in {Check.NONFINITE, Check.STRIDED} and config.element_bytes == 2 and odd and not candidate.strict  # noqa: PLR2004


def _spreads(found: Comparison) -> bool:
    return Criterion.FINITE in found.failed and found.worst is None


def _outcome(
    question: Question, attempts: Sequence[Attempt], candidate: Candidate
) -> tuple[Outcome, str, list[Comparison]]:
    compared: list[Comparison] = []
    refusals: list[str] = []
    for call, done in zip(question.calls, attempts, strict=False):
        if done.out is None:
            if done.refused and call.x.shape[0] == 0 and not candidate.strict:
                continue
            if done.refused and call.refusable:
                refusals.append(f"refused: {done.raised}")
                continue
            return Outcome.FAILED, _told(call, f"raised: {done.raised}"), compared
        found = compare(call.expected, done.out, done.ids, done.weights, lowest_id_wins=candidate.lowest_id_wins)
        compared.append(found)
        if not found.passed:
            if _overlooks_strides(call, done.out) and not candidate.strict:
                return Outcome.NOT_SUPPORTED, "it takes x for contiguous, whatever its strides", []
            return Outcome.FAILED, _told(call, found.message), compared
    if question.same_bits and (difference := _difference(attempts)):
        return Outcome.FAILED, difference, compared
    mistrusted = next((found.mistrusted for found in compared if found.mistrusted), "")
    if mistrusted:
        return Outcome.MISTRUSTED, mistrusted, compared
    return Outcome.PASSED, next(iter(refusals), ""), compared


def _overlooks_strides(call: Call, out: torch.Tensor) -> bool:
    return call.overlooked is not None and compare(call.overlooked, out).passed


def _told(call: Call, message: str) -> str:
    return f"{call.label}: {message}" if call.label else message


def _difference(attempts: Sequence[Attempt]) -> str:
    """Says where the outputs of equal calls differ, bit by bit (a NaN equals itself), or nothing."""
    first = attempts[0].out
    assert first is not None
    for number, done in enumerate(attempts[1:], start=2):
        assert done.out is not None
        differing = (done.out != first) & ~(torch.isnan(done.out) & torch.isnan(first))
        if differing.any():
            token, element = (int(i) for i in differing.nonzero()[0])
            was, now = float(first[token, element]), float(done.out[token, element])
            return (
                f"{Check.REPEAT}: call {number} of the same input differs from call 1 at token {token}, element"
                f" {element}: {was:.9g} became {now:.9g} ({int(differing.sum())} of {differing.numel()} elements)"
            )
    return ""
