"""One reading weighed on one machine, by the rules in their order."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from validation.claims.claim import LESS_IS_BETTER, QUANTILES, Claim, Metric, Reading
from validation.claims.load import STRONGEST
from validation.correctness.case import Outcome
from validation.evidence.record import Evidence, WorkloadRecord
from validation.performance.sample import Role
from validation.performance.statistics import NULL_CONFIDENCE, Estimate, bonferroni, level, ratio
from validation.verdicts.floors import floor
from validation.verdicts.measured import Measured, Subject, baselines_of, measured
from validation.verdicts.ruling import DELTA, IMPOSSIBLE_SHARE, Ruling, rule_bound, rule_noise
from validation.verdicts.verdict import Finding, Verdict

#: A reading that names nobody is about the kernel under validation.
CANDIDATE: Final = "candidate"

_NS_PER: Final = {"s": 1e9, "us": 1e3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """Everything one reading on one machine is weighed by."""

    claim: Claim
    reading: Reading
    evidence: Evidence
    workload: WorkloadRecord | None
    candidate: str
    role: Role
    times: Measured
    baseline: str | None
    baseline_times: Measured | None
    rivals: tuple[tuple[str, float], ...]
    floor_ns: float | None
    confidence: float


def weigh(claim: Claim, reading: Reading, evidence: Evidence) -> Finding:
    """Returns the finding on one machine whose device the reading is about."""
    matter = _matter(claim, reading, evidence)
    estimate = _estimate(matter)
    ruling = _rule(matter, estimate)
    told = (Verdict.NOT_TESTED, Verdict.INVALID)
    shown = None if ruling.verdict in told else estimate
    digest = "".join(one.samples_sha256 for one in (matter.times, matter.baseline_times) if one is not None)
    return Finding(
        claim=claim.id,
        reading=reading.id,
        strict=reading.strict,
        machine=evidence.environment.machine,
        device=reading.device,
        workload=reading.workload,
        dtype=reading.dtype,
        candidate=matter.candidate,
        baseline=matter.baseline or reading.baseline,
        metric=reading.metric.value,
        comparison=_comparison(reading),
        required=reading.requirement.bound,
        up_to=reading.requirement.up_to,
        estimate=None if shown is None else shown.value,
        interval=None if shown is None else (shown.low, shown.high),
        pairs=0 if shown is None else shown.count,
        limit=_limit(matter),
        floor_us=None if matter.floor_ns is None else matter.floor_ns / _NS_PER["us"],
        verdict=ruling.verdict,
        reason=ruling.reason,
        explanation=ruling.explanation,
        provenance=claim.provenance.value,
        promise=claim.promise,
        samples_sha256=digest[:64] if shown is not None else None,
    )


def untested(claim: Claim, reading: Reading, reason: str, explanation: str) -> Finding:
    """Returns the finding that no evidence bears on the reading."""
    return Finding(
        claim=claim.id,
        reading=reading.id,
        strict=reading.strict,
        machine="none",
        device=reading.device,
        workload=reading.workload,
        dtype=reading.dtype,
        candidate=reading.candidate,
        baseline=reading.baseline,
        metric=reading.metric.value,
        comparison=_comparison(reading),
        required=reading.requirement.bound,
        up_to=reading.requirement.up_to,
        verdict=Verdict.NOT_TESTED,
        reason=reason,
        explanation=explanation,
        provenance=claim.provenance.value,
        promise=claim.promise,
    )


def _matter(claim: Claim, reading: Reading, evidence: Evidence) -> Matter:
    own = {one.name for one in evidence.implementations if one.role == "candidate"}
    named = next(iter(sorted(own)), CANDIDATE) if reading.candidate == CANDIDATE else reading.candidate
    role = Role.CANDIDATE if named in own else Role.BASELINES
    workload = next(
        (one for one in evidence.workloads if (one.name, one.dtype) == (reading.workload, reading.dtype)), None
    )
    rivals = _rivals(reading, evidence)
    baseline = _baseline(reading, evidence, rivals)
    compared = {one.workload for one in claim.readings if one.untestable is None and one.device == reading.device}
    return Matter(
        claim=claim,
        reading=reading,
        evidence=evidence,
        workload=workload,
        candidate=named,
        role=role,
        times=measured(evidence, _subject(reading, named, role)),
        baseline=baseline,
        baseline_times=None if baseline is None else measured(evidence, _against(reading, baseline)),
        rivals=rivals,
        floor_ns=None if workload is None or (least := floor(evidence, workload, reading.device)) is None else least.ns,
        confidence=bonferroni(0.95, len(compared & {one.name for one in _timed(evidence)})),
    )


def _rule(matter: Matter, estimate: Estimate | None) -> Ruling:
    """The first rule that applies, in the order of docs/METHOD.md, section 4."""
    first = _impossible(matter) or _invalid(matter) or _not_tested(matter, estimate)
    if first is not None:
        return first
    assert estimate is not None
    fault = _harness_fault(matter)
    noise = rule_noise(estimate, _null(matter))
    if fault is not None or noise is not None:
        return fault or noise or _unreached()
    requirement = matter.reading.requirement
    at_least = requirement.at_least is not None
    ruling = rule_bound(estimate, requirement.bound, at_least=at_least, margin=0.0 if matter.claim.promise else DELTA)
    return _told(matter, estimate, _against_weaker(matter, ruling))


def _impossible(matter: Matter) -> Ruling | None:
    """The claimed time lies below the floor; needs only shape and machine, and a speedup its baseline's time."""
    claimed = _claimed_ns(matter)
    if claimed is None or matter.floor_ns is None or claimed >= IMPOSSIBLE_SHARE * matter.floor_ns:
        return None
    limit = _limit(matter)
    told = (
        f"It needs {_time(claimed)} per call; the arithmetic and bandwidth ceilings measured on this machine allow "
        f"no less than {_time(matter.floor_ns)}"
    )
    if limit is not None:
        told += f", which is at most {_value(matter.reading.metric, limit)}"
    return Ruling(verdict=Verdict.IMPOSSIBLE, reason="below_floor", explanation=f"{told}.")


def _invalid(matter: Matter) -> Ruling | None:
    """A wrong or dishonest kernel has no speed."""
    evidence, name = matter.evidence, matter.candidate
    checks: Iterable[tuple[str, str, Outcome, str]] = (
        *((one.implementation, one.check, one.outcome, one.message) for one in evidence.cases),
        *((one.implementation, one.gate, one.outcome, one.message) for one in evidence.gates),
    )
    for implementation, check, outcome, message in checks:
        if implementation == name and outcome is Outcome.FAILED:
            return Ruling(verdict=Verdict.INVALID, reason="incorrect", explanation=f"{name} fails {check}: {message}")
    if matter.role is Role.CANDIDATE:
        again = measured(evidence, _subject(matter.reading, name, Role.CANDIDATE_AGAIN))
        ended = [run.ended for run in evidence.processes if run.role is not Role.BASELINES and run.ended]
        if ended:
            told = f"A process of {name} ended before its time: {ended[0]}"
            return Ruling(verdict=Verdict.INVALID, reason="candidate_ended", explanation=told)
    else:
        again = matter.times
    if matter.times.wrong or again.wrong:
        told = f"{matter.times.wrong + again.wrong} timed outputs of {name} were wrong."
        return Ruling(verdict=Verdict.INVALID, reason="timed_output_wrong", explanation=told)
    return None


def _not_tested(matter: Matter, estimate: Estimate | None) -> Ruling | None:
    reading = matter.reading
    if reading.metric in QUANTILES or reading.metric in {Metric.FIGURE, Metric.HOLDS}:
        told = f"A run measures no {reading.metric.value.replace('_', ' ')}, and the ceilings do not rule it out."
        return Ruling(verdict=Verdict.NOT_TESTED, reason="metric_not_measured", explanation=told)
    if not matter.times.values:
        told = f"{matter.candidate} was not timed on {reading.workload} in {reading.dtype} in this run."
        return Ruling(verdict=Verdict.NOT_TESTED, reason="workload_not_measured", explanation=told)
    if reading.metric is Metric.SPEEDUP and (matter.baseline_times is None or not matter.baseline_times.values):
        told = f"The baseline {reading.baseline} was not timed on {reading.workload} in this run."
        return Ruling(verdict=Verdict.NOT_TESTED, reason="baseline_not_measured", explanation=told)
    if matter.baseline_times is not None and matter.baseline_times.wrong:
        told = f"{matter.baseline} gave wrong outputs while it was timed, so it is no baseline."
        return Ruling(verdict=Verdict.NOT_TESTED, reason="baseline_incorrect", explanation=told)
    if estimate is None:
        told = "Too few rounds kept accepted samples on both sides."
        return Ruling(verdict=Verdict.INCONCLUSIVE, reason="too_few_pairs", explanation=told)
    return None


def _harness_fault(matter: Matter) -> Ruling | None:
    """Nothing is faster than its floor; a measurement that says so is wrong, never a win."""
    for name, times in ((matter.candidate, matter.times), (matter.baseline, matter.baseline_times)):
        took = None if times is None else times.level
        if took is not None and matter.floor_ns is not None and took.high < matter.floor_ns:
            told = f"{name} was measured at {_time(took.value)}, below the floor of {_time(matter.floor_ns)}."
            return Ruling(verdict=Verdict.HARNESS_FAULT, reason="above_ceiling", explanation=told)
    return None


def _against_weaker(matter: Matter, ruling: Ruling) -> Ruling:
    """A win over a baseline slower than another one on the menu is a lesser win."""
    if ruling.verdict is not Verdict.CONFIRMED or matter.baseline is None or matter.baseline_times is None:
        return ruling
    took = matter.baseline_times.level
    stronger = [name for name, ns in matter.rivals if took is not None and ns < took.value and name != matter.baseline]
    if not stronger or matter.reading.baseline == STRONGEST or matter.claim.promise:
        return ruling
    told = f"{ruling.explanation} {stronger[0]} was faster than {matter.baseline} in the same run."
    return Ruling(verdict=Verdict.CONFIRMED_WEAK_BASELINE, reason="stronger_baseline_measured", explanation=told)


def _told(matter: Matter, estimate: Estimate, ruling: Ruling) -> Ruling:
    """The ruling with its numbers in words."""
    metric, requirement = matter.reading.metric, matter.reading.requirement
    shown = f"{_value(metric, estimate.value)} [{_value(metric, estimate.low)}, {_value(metric, estimate.high)}]"
    wanted = f"at {'least' if requirement.at_least is not None else 'most'} {_value(metric, requirement.bound)}"
    against = f" over {matter.baseline}" if matter.baseline else ""
    told = f"Measured {shown}{against} in {estimate.count} rounds; {wanted} is asked for. {ruling.explanation}"
    limit = _limit(matter)
    if limit is not None and metric is not Metric.FLOOR_SHARE:
        told += f" The ceilings of this machine allow {_value(metric, limit)}."
    if requirement.up_to is not None and ruling.verdict is Verdict.CONFIRMED and estimate.low > requirement.up_to:
        told += " It exceeds the claimed range."
    return Ruling(verdict=ruling.verdict, reason=ruling.reason, explanation=told)


def _estimate(matter: Matter) -> Estimate | None:
    """The metric's value and interval, in its unit."""
    rounds = matter.times.values
    if matter.reading.metric is Metric.SPEEDUP:
        against = {} if matter.baseline_times is None else matter.baseline_times.values
        both = sorted(rounds.keys() & against.keys())
        return ratio([against[n] for n in both], [rounds[n] for n in both], matter.confidence)
    took = level(tuple(rounds.values()), matter.confidence) if rounds else None
    if took is None or matter.workload is None:
        return None
    match matter.reading.metric:
        case Metric.TOKENS_PER_S:
            return took.inverse(matter.workload.tokens * _NS_PER["s"])
        case Metric.GFLOP_PER_S:
            return took.inverse(float(matter.workload.flops))
        case Metric.LATENCY_US:
            return took.times(1 / _NS_PER["us"])
        case Metric.FLOOR_SHARE:
            return None if matter.floor_ns is None else took.inverse(matter.floor_ns)
        case _:
            return None


def _claimed_ns(matter: Matter) -> float | None:
    """The time of one call that the reading asks for."""
    bound, metric = matter.reading.requirement.bound, matter.reading.metric
    if metric is Metric.SPEEDUP:
        took = None if matter.baseline_times is None else matter.baseline_times.level
        return None if took is None else took.value / bound
    if matter.workload is None:
        return None
    if metric is Metric.TOKENS_PER_S:
        return matter.workload.tokens * _NS_PER["s"] / bound
    if metric is Metric.GFLOP_PER_S:
        return matter.workload.flops / bound
    if metric in LESS_IS_BETTER:
        return bound * _NS_PER["us"]
    if metric is Metric.FLOOR_SHARE and matter.floor_ns is not None:
        return matter.floor_ns / bound
    return None


def _limit(matter: Matter) -> float | None:
    """The metric's value if the floor itself were reached."""
    floor, workload, metric = matter.floor_ns, matter.workload, matter.reading.metric
    if floor is None or workload is None or floor <= 0:
        return None
    if metric is Metric.SPEEDUP:
        took = None if matter.baseline_times is None else matter.baseline_times.level
        return None if took is None else took.value / floor
    if metric is Metric.TOKENS_PER_S:
        return workload.tokens * _NS_PER["s"] / floor
    if metric is Metric.GFLOP_PER_S:
        return workload.flops / floor
    if metric in LESS_IS_BETTER:
        return floor / _NS_PER["us"]
    return 1.0 if metric is Metric.FLOOR_SHARE else None


def _null(matter: Matter) -> Estimate | None:
    """The candidate against itself, at 99 %; a named implementation has no second process to compare with."""
    if matter.role is not Role.CANDIDATE:
        return None
    again = measured(matter.evidence, _subject(matter.reading, matter.candidate, Role.CANDIDATE_AGAIN)).values
    both = sorted(matter.times.values.keys() & again.keys())
    return ratio([again[n] for n in both], [matter.times.values[n] for n in both], NULL_CONFIDENCE)


def _rivals(reading: Reading, evidence: Evidence) -> tuple[tuple[str, float], ...]:
    """Every right baseline on the menu of the reading's device and dtype with its typical time, fastest first."""
    if reading.metric is not Metric.SPEEDUP:
        return ()
    device, dtype = reading.baseline_device or reading.device, reading.baseline_dtype or reading.dtype
    found = []
    for name in baselines_of(evidence, reading.workload, dtype, device):
        times = measured(evidence, _against(reading, name))
        if times.level is not None and not times.wrong:
            found.append((name, times.level.value))
    return tuple(sorted(found, key=lambda one: one[1]))


def _baseline(reading: Reading, evidence: Evidence, rivals: tuple[tuple[str, float], ...]) -> str | None:
    """The baseline's name: as given, or the fastest that was measured of the menu or of a family."""
    if reading.baseline is None or reading.baseline.partition(":")[0] != STRONGEST:
        return reading.baseline
    family = reading.baseline.partition(":")[2]
    families = {one.name: one.family for one in evidence.implementations}
    return next((name for name, _ns in rivals if not family or families.get(name) == family), None)


def _subject(reading: Reading, name: str, role: Role) -> Subject:
    return Subject(
        implementation=name, workload=reading.workload, dtype=reading.dtype, device=reading.device, role=role
    )


def _against(reading: Reading, name: str) -> Subject:
    return Subject(
        implementation=name,
        workload=reading.workload,
        dtype=reading.baseline_dtype or reading.dtype,
        device=reading.baseline_device or reading.device,
        role=Role.BASELINES,
    )


def _timed(evidence: Evidence) -> Iterable[WorkloadRecord]:
    """The workloads that were timed."""
    names = {series.workload for process in evidence.processes for series in process.series}
    return (one for one in evidence.workloads if one.name in names)


def _comparison(reading: Reading) -> str:
    return "at_least" if reading.requirement.at_least is not None else "at_most"


def _time(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def _value(metric: Metric, value: float) -> str:
    if metric is Metric.SPEEDUP:
        return f"{value:.3g}x"
    if metric is Metric.FLOOR_SHARE:
        return f"{100 * value:.1f} %"
    if metric in LESS_IS_BETTER:
        return _time(value * 1e3)
    return f"{value:,.0f} {'tokens/s' if metric is Metric.TOKENS_PER_S else 'GFLOP/s'}"


def _unreached() -> Ruling:
    raise AssertionError("one of two rulings is there")
