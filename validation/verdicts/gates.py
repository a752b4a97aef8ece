"""The steps a reading passes on its way to a verdict, in the order of docs/METHOD.md section 4.

Each returns a ruling, or None to let the reading pass on to the next.
"""

from dataclasses import dataclass

from validation.claims.claim import LESS_IS_BETTER, Metric
from validation.correctness.case import Outcome
from validation.performance.sample import Role
from validation.performance.statistics import Estimate
from validation.verdicts.accusations import accusations
from validation.verdicts.explain import amount, bound, measured, percent, time_of
from validation.verdicts.figures import decided_by_one
from validation.verdicts.observation import Observation, Side, closed_loop_of_one
from validation.verdicts.reasons import Reason
from validation.verdicts.rules import DELTA, IMPOSSIBLE_SHARE, MIN_PAIRS, OWN_CORES, UNSEEN_PROCESSES, WIDEST
from validation.verdicts.samples import deaths, own_share, wrong_outputs
from validation.verdicts.spoilt import uncounted_unseen
from validation.verdicts.units import significant
from validation.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A verdict with its code and its sentence."""

    verdict: Verdict
    reason: Reason
    explanation: str


def faster_than_floor(seen: Observation) -> Ruling | None:
    """`harness_fault` when a contender is measured faster than the machine can be: the clock or a ceiling is wrong.

    Tried before everything else, because a faulty time of the baseline would make possible claims look impossible.
    """
    if seen.reading.metric in {Metric.FIGURE, Metric.HOLDS}:
        return None
    for side in (seen.candidate, seen.baseline):
        if side is not None and side.beats_floor:
            assert side.level is not None
            assert side.floor is not None
            return Ruling(
                verdict=Verdict.HARNESS_FAULT,
                reason=Reason.FASTER_THAN_FLOOR,
                explanation=(
                    f"{side.subject.implementation} was measured at {time_of(side.level.value)}, below the "
                    f"{time_of(side.floor.ns)} that this machine's {side.floor.bound_by} ceiling of "
                    f"{_rate(side)} allows: the measurement is at fault, not the hardware."
                ),
            )
    return None


def impossible(seen: Observation) -> Ruling | None:
    """`impossible` when the claimed time is below 0.95 of the floor: needs shape, machine and a baseline's time."""
    floor, claimed = seen.candidate.floor, seen.claimed_ns
    if floor is None or claimed is None or claimed >= IMPOSSIBLE_SHARE * floor.ns:
        return None
    metric, limit = seen.reading.metric, seen.limit
    assert limit is not None
    side = "at least" if seen.reading.requirement.at_most is not None else "at most"
    if metric is Metric.FLOOR_SHARE:
        allowed = "Nothing can pass the hardware's limit, by definition"
    else:
        over = _over(seen)
        allowed = f"On this machine the ceilings allow {side} {amount(seen.reading, limit)}{over}"
    found = f"; measured {measured(seen.reading, seen.estimate)}" if seen.estimate is not None else ""
    needs = f"needs {time_of(claimed)} per call, and the floor is {time_of(floor.ns)}"
    if metric in LESS_IS_BETTER:
        needs = "is less"
    return Ruling(
        verdict=Verdict.IMPOSSIBLE,
        reason=Reason.BELOW_FLOOR,
        explanation=f"{allowed}{found}. The claimed {bound(seen.reading, seen.reading.requirement.bound)} {needs}.",
    )


def absent(seen: Observation) -> Ruling | None:
    """`not_tested` when no run here could have tested it."""
    reading = seen.reading
    if reading.untestable is not None:
        return _not_tested(Reason.UNTESTABLE, f"No run decides this: {reading.untestable}.")
    if "cuda" in {reading.device, reading.baseline_device} and seen.evidence.environment.gpu is None:
        return _not_tested(Reason.NO_GPU, "This machine has no GPU, and the reading is about one.")
    return None


def invalid(seen: Observation) -> Ruling | None:
    """`invalid` when a contender is wrong or dishonest; timed outputs count as much as correctness cases."""
    if seen.reading.device == seen.evidence.device and seen.candidate.subject.role is Role.CANDIDATE:
        found = _failed_checks(seen) or _died(seen)
        if found is not None:
            return found
    for side, reason in ((seen.candidate, Reason.TIMED_OUTPUT_WRONG), (seen.baseline, Reason.BASELINE_WRONG)):
        if side is None:
            continue
        subject = side.subject
        wrong = wrong_outputs(seen.evidence, subject.implementation, subject.dtype, subject.device)
        if wrong:
            return _invalid(reason, f"{wrong} timed outputs of {subject.implementation} in {subject.dtype} were wrong.")
    return None


def not_measured(seen: Observation) -> Ruling | None:
    """`not_tested` when this run did not measure what the reading needs."""
    reading = seen.reading
    if reading.metric is Metric.FIGURE:
        return None if seen.figures else _no_figure(seen)
    if seen.workload is None:
        return _not_tested(
            Reason.WORKLOAD_NOT_RECORDED, f"This run did not measure {reading.workload} in {reading.dtype}."
        )
    if not closed_loop_of_one(reading) and not seen.loads:
        return _not_tested(
            Reason.LOAD_NOT_MEASURED, "This run sent one request after the other; the claimed load was not measured."
        )
    if not seen.candidate.measured.calls:
        return _not_tested(
            Reason.CANDIDATE_NOT_MEASURED,
            f"This run did not time {seen.candidate.subject.implementation} on {_where(seen.candidate)}.",
        )
    if reading.metric is Metric.SPEEDUP and seen.baseline is None:
        device, dtype = reading.baseline_device or reading.device, reading.baseline_dtype or reading.dtype
        return _not_tested(
            Reason.BASELINE_NOT_MEASURED,
            f"This run did not time {reading.baseline} on {reading.workload} ({device}, {dtype}).",
        )
    return None


def enough(seen: Observation) -> bool:
    """Returns whether an interval may be told: of two pairs that differ by 20 % it spans a factor of ten."""
    return seen.pairs >= MIN_PAIRS or decided_by_one(seen.figures)


def noisy(seen: Observation) -> Ruling | None:
    """`inconclusive` when the evidence is too thin or too noisy to decide anything."""
    if not _checked(seen):
        return _inconclusive(
            Reason.CORRECTNESS_NOT_CHECKED,
            f"No correctness case of {seen.candidate.subject.implementation} in {seen.reading.dtype} passed, and a "
            "time says nothing of a kernel that was not shown to be right.",
        )
    if not enough(seen):
        one = seen.pairs == 1
        what = f"process pair{' has' if one else 's have'} enough accepted calls"
        if seen.figures:
            what = f"sample{' was' if one else 's were'} taken"
        return _inconclusive(Reason.TOO_FEW_PAIRS, f"{seen.pairs} {what}; a verdict needs {MIN_PAIRS}.")
    if seen.estimate is None:
        return _inconclusive(
            Reason.TOO_FEW_CALLS, "Too few calls were accepted for an interval of this quantile to have both ends."
        )
    # A figure is not timed by the pairs that the null is about; its own spread has to do.
    return None if seen.reading.metric is Metric.FIGURE else _null(seen) or _uncounted(seen) or _shared(seen)


def compared(seen: Observation, delta: float = DELTA) -> Ruling:
    """The claim against its interval: confirmed, refuted or inconclusive; never called without an estimate."""
    estimate, reading = seen.estimate, seen.reading
    assert estimate is not None
    verdict = against_bound(estimate, reading.requirement.at_least, reading.requirement.at_most, delta)
    found = measured(reading, estimate)
    claimed = bound(reading, reading.requirement.bound)
    over = _over(seen)
    if verdict is Verdict.INCONCLUSIVE and estimate.half_width > WIDEST:
        return _inconclusive(
            Reason.INTERVAL_TOO_WIDE,
            f"Measured {found}{over}, a half-width of {percent(estimate.half_width)}: above {percent(WIDEST)} an "
            f"interval decides only what it would at twice its width, and the claimed {claimed} is nearer than that.",
        )
    if verdict is Verdict.INCONCLUSIVE:
        near = f" or {percent(delta)} of it" if delta else ""
        return _inconclusive(
            Reason.BOUND_INSIDE_INTERVAL,
            f"Measured {found}{over}; the claimed {claimed} lies within the interval{near}.",
        )
    if verdict is Verdict.REFUTED:
        return Ruling(
            verdict=Verdict.REFUTED,
            reason=Reason.BOUND_MISSED,
            explanation=f"Measured {found}{over}; claimed {claimed}.{_limited(seen)}",
        )
    stronger = _stronger(seen, delta)
    if stronger is not None:
        assert stronger.level is not None
        return Ruling(
            verdict=Verdict.CONFIRMED_WEAK_BASELINE,
            reason=Reason.STRONGER_BASELINE,
            explanation=(
                f"Measured {found}{over}, as claimed, but {stronger.subject.implementation} is a stronger baseline "
                f"here ({time_of(stronger.level.value)} per call), and against it the claim is not confirmed."
            ),
        )
    up_to = reading.requirement.up_to
    if up_to is not None and estimate.low > up_to * (1 + delta):
        return Ruling(
            verdict=Verdict.CONFIRMED,
            reason=Reason.EXCEEDS_RANGE,
            explanation=f"Measured {found}{over}: more than the claimed {claimed} to {bound(reading, up_to)}.",
        )
    return Ruling(
        verdict=Verdict.CONFIRMED,
        reason=Reason.BOUND_MET,
        explanation=f"Measured {found}{over}; claimed {claimed}.",
    )


def against_bound(estimate: Estimate, at_least: float | None, at_most: float | None, delta: float) -> Verdict:
    """Returns confirmed, refuted or inconclusive: the whole interval on one side of the bound, give or take delta.

    A half-width above WIDEST is a sign of noise that the interval may not know all of: such an interval is taken at
    twice its width, on the logarithm. What lies far from the bound is then still decided, what is close is not.
    """
    if estimate.half_width > WIDEST:
        estimate = estimate.stretched(2.0)
    if at_least is not None:
        threshold = at_least * (1 - delta)
        met, missed = estimate.low >= threshold, estimate.high < threshold
    else:
        assert at_most is not None
        threshold = at_most * (1 + delta)
        met, missed = estimate.high <= threshold, estimate.low > threshold
    if met:
        return Verdict.CONFIRMED
    return Verdict.REFUTED if missed else Verdict.INCONCLUSIVE


def _failed_checks(seen: Observation) -> Ruling | None:
    name, dtype = seen.candidate.subject.implementation, seen.reading.dtype
    cases = [case for case in seen.evidence.cases if case.implementation == name and case.dtype == dtype]
    failed = [case for case in cases if case.outcome is Outcome.FAILED]
    if failed:
        return _invalid(
            Reason.CORRECTNESS_FAILED,
            f"{len(failed)} of {len(cases)} cases of {name} in {dtype} failed; the first: {failed[0].repro}",
        )
    for gate in seen.evidence.gates:
        if gate.implementation == name and gate.outcome is Outcome.FAILED:
            return _invalid(Reason.INTEGRITY_FAILED, f"{name} failed the integrity gate {gate.gate}: {gate.message}")
    for one in accusations(seen.evidence, name):
        return _invalid(one.reason, f"{name} {one.does}: {one.seen}.")
    return None


def _died(seen: Observation) -> Ruling | None:
    found = deaths(seen.evidence, seen.candidate.subject)
    if not found:
        return None
    return _invalid(Reason.PROCESS_DIED, f"The candidate's process did not answer to the end: {found[0]}")


def _checked(seen: Observation) -> bool:
    """Whether the candidate passed a correctness case; a baseline's every timed output is checked instead."""
    subject = seen.candidate.subject
    return subject.role is not Role.CANDIDATE or any(
        case.outcome is Outcome.PASSED
        for case in seen.evidence.cases
        if (case.implementation, case.dtype) == (subject.implementation, subject.dtype)
    )


def _null(seen: Observation) -> Ruling | None:
    null = seen.null
    if null is None or null.count < MIN_PAIRS:
        return _inconclusive(
            Reason.NO_NULL,
            f"The candidate was compared with itself in {0 if null is None else null.count} pairs; a verdict needs "
            f"{MIN_PAIRS}, to know what this run calls different.",
        )
    if null.low > 1 or null.high < 1:
        return _inconclusive(
            Reason.NULL_DIFFERS,
            f"The candidate differs from itself by a factor of {significant(null.value)} [{significant(null.low)}, "
            f"{significant(null.high)}] (99 %): this run cannot tell a difference from noise.",
        )
    return None


def _uncounted(seen: Observation) -> Ruling | None:
    """`inconclusive` where so few calls on unseen tokens count that the others' answers may be remembered ones."""
    subject = seen.candidate.subject
    found = uncounted_unseen(seen.evidence, subject) if subject.role is Role.CANDIDATE else ""
    if not found:
        return None
    return _inconclusive(
        Reason.UNSEEN_NOT_COUNTED,
        f"{found}; a verdict needs {UNSEEN_PROCESSES}, to know that no answers were remembered.",
    )


def _shared(seen: Observation) -> Ruling | None:
    """`inconclusive` for a share of the hardware's limit where neighbours have part of the hardware."""
    if seen.reading.metric is not Metric.FLOOR_SHARE:
        return None
    share = own_share(seen.evidence, seen.candidate.subject.device)
    if share is None or share >= OWN_CORES:
        return None
    found = "" if seen.estimate is None else f"Measured {measured(seen.reading, seen.estimate)}, but "
    return _inconclusive(
        Reason.CORES_SHARED,
        f"{found}this machine's cores usually ran at {percent(share)} of what they reach: its neighbours had the rest. "
        f"A share of the hardware's limit is told where that is {percent(OWN_CORES)} at least.",
    )


def _stronger(seen: Observation, delta: float) -> Side | None:
    """The strongest rival faster than a named baseline against which the claim is not confirmed, if there is one.

    `strongest` is never weak: it is computed as the strongest of what the reading names. A figure has no menu.
    """
    if seen.reading.metric is not Metric.SPEEDUP:
        return None
    if (
        seen.baseline is None
        or seen.baseline.level is None
        or seen.reading.baseline != seen.baseline.subject.implementation
    ):
        return None
    rivals = [side for side in seen.rivals if side.level is not None and side.level.value < seen.baseline.level.value]
    requirement = seen.reading.requirement
    for side in sorted(rivals, key=lambda one: (one.level.value if one.level else 0.0, one.subject.implementation)):
        against = side.measured.over(seen.candidate.measured, seen.confidence)
        if (
            against is None
            or against_bound(against, requirement.at_least, requirement.at_most, delta) is not Verdict.CONFIRMED
        ):
            return side
    return None


def _limited(seen: Observation) -> str:
    if seen.limit is None or seen.reading.metric is Metric.FLOOR_SHARE:
        return ""
    side = "at least" if seen.reading.requirement.at_most is not None else "at most"
    return f" The ceilings here allow {side} {amount(seen.reading, seen.limit)}."


def _over(seen: Observation) -> str:
    return f" over {seen.baseline.subject.implementation}" if seen.baseline is not None else ""


def _no_figure(seen: Observation) -> Ruling:
    reading = seen.reading
    of = f" of {seen.candidate.subject.implementation} and {reading.baseline}" if reading.baseline is not None else ""
    said = next((line for line in seen.evidence.left_out if line.startswith(f"figure {reading.figure}: ")), None)
    why = "" if said is None else f": {said.partition(': ')[2]}"
    return _not_tested(Reason.FIGURE_NOT_RECORDED, f"This run recorded no figure {reading.figure!r}{of}{why}.")


def _rate(side: Side) -> str:
    assert side.floor is not None
    unit = "GFLOP/s" if side.floor.bound_by == "compute" else "GB/s"
    return f"{significant(side.floor.rate / 1e9)} {unit}"


def _where(side: Side) -> str:
    return f"{side.subject.workload} ({side.subject.device}, {side.subject.dtype})"


def _not_tested(reason: Reason, explanation: str) -> Ruling:
    return Ruling(verdict=Verdict.NOT_TESTED, reason=reason, explanation=explanation)


def _invalid(reason: Reason, explanation: str) -> Ruling:
    return Ruling(verdict=Verdict.INVALID, reason=reason, explanation=explanation)


def _inconclusive(reason: Reason, explanation: str) -> Ruling:
    return Ruling(verdict=Verdict.INCONCLUSIVE, reason=reason, explanation=explanation)
