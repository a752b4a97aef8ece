"""The claimed bound beside the measured interval: what is left to say of a reading that passed every other step."""

from validation.claims.claim import Metric
from validation.performance.statistics import Estimate
from validation.verdicts.explain import amount, bound, measured, percent, time_of
from validation.verdicts.observation import Observation, Side
from validation.verdicts.reasons import Reason
from validation.verdicts.rules import DELTA, WIDEST
from validation.verdicts.ruling import Ruling, inconclusive, over_what
from validation.verdicts.verdict import Verdict


def compared(seen: Observation, delta: float = DELTA) -> Ruling:
    """The claim against its interval: confirmed, refuted or inconclusive; never called without an estimate."""
    estimate, reading = seen.estimate, seen.reading
    assert estimate is not None
    verdict = against_bound(estimate, reading.requirement.at_least, reading.requirement.at_most, delta)
    found = measured(reading, estimate)
    claimed = bound(reading, reading.requirement.bound)
    over = over_what(seen)
    if verdict is Verdict.INCONCLUSIVE and estimate.half_width > WIDEST:
        return inconclusive(
            Reason.INTERVAL_TOO_WIDE,
            f"Measured {found}{over}, a half-width of {percent(estimate.half_width)}: above {percent(WIDEST)} an "
            f"interval decides only what it would at twice its width, and the claimed {claimed} is nearer than that.",
        )
    if verdict is Verdict.INCONCLUSIVE:
        near = f" or {percent(delta)} of it" if delta else ""
        return inconclusive(
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
