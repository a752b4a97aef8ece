"""Could the claim be true here, and was it measured? The first steps of a reading on its way to a verdict."""

from validation.claims.claim import LESS_IS_BETTER, Metric
from validation.verdicts.explain import amount, bound, measured, time_of
from validation.verdicts.observation import Observation, Side, closed_loop_of_one
from validation.verdicts.reasons import Reason
from validation.verdicts.rules import IMPOSSIBLE_SHARE
from validation.verdicts.ruling import Ruling, not_tested, over_what
from validation.verdicts.units import significant
from validation.verdicts.verdict import Verdict


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
        over = over_what(seen)
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
        return not_tested(Reason.UNTESTABLE, f"No run decides this: {reading.untestable}.")
    if "cuda" in {reading.device, reading.baseline_device} and seen.evidence.environment.gpu is None:
        return not_tested(Reason.NO_GPU, "This machine has no GPU, and the reading is about one.")
    return None


def not_measured(seen: Observation) -> Ruling | None:
    """`not_tested` when this run did not measure what the reading needs."""
    reading = seen.reading
    if reading.metric is Metric.FIGURE:
        return None if seen.figures else _no_figure(seen)
    if seen.workload is None:
        return not_tested(
            Reason.WORKLOAD_NOT_RECORDED, f"This run did not measure {reading.workload} in {reading.dtype}."
        )
    if not closed_loop_of_one(reading) and not seen.loads:
        return not_tested(
            Reason.LOAD_NOT_MEASURED, "This run sent one request after the other; the claimed load was not measured."
        )
    if not seen.candidate.measured.calls:
        return not_tested(
            Reason.CANDIDATE_NOT_MEASURED,
            f"This run did not time {seen.candidate.subject.implementation} on {_where(seen.candidate)}.",
        )
    if reading.metric is Metric.SPEEDUP and seen.baseline is None:
        device, dtype = reading.baseline_device or reading.device, reading.baseline_dtype or reading.dtype
        return not_tested(
            Reason.BASELINE_NOT_MEASURED,
            f"This run did not time {reading.baseline} on {reading.workload} ({device}, {dtype}).",
        )
    return None


def _no_figure(seen: Observation) -> Ruling:
    reading = seen.reading
    of = f" of {seen.candidate.subject.implementation} and {reading.baseline}" if reading.baseline is not None else ""
    said = next((line for line in seen.evidence.left_out if line.startswith(f"figure {reading.figure}: ")), None)
    why = "" if said is None else f": {said.partition(': ')[2]}"
    return not_tested(Reason.FIGURE_NOT_RECORDED, f"This run recorded no figure {reading.figure!r}{of}{why}.")


def _rate(side: Side) -> str:
    assert side.floor is not None
    unit = "GFLOP/s" if side.floor.bound_by == "compute" else "GB/s"
    return f"{significant(side.floor.rate / 1e9)} {unit}"


def _where(side: Side) -> str:
    return f"{side.subject.workload} ({side.subject.device}, {side.subject.dtype})"
