"""Everything the evidence says of one reading, gathered before anything is decided."""

from dataclasses import dataclass
from typing import Final

from validation.claims.claim import QUANTILES, Arrivals, Metric, Reading
from validation.claims.load import STRONGEST
from validation.evidence.record import Evidence, WorkloadRecord
from validation.performance.figure import Figure
from validation.performance.sample import Role
from validation.performance.statistics import NULL_CONFIDENCE, Estimate, quantile
from validation.verdicts.figures import figure_estimate, find_figures
from validation.verdicts.floors import Floor, Hardware, floor, from_memory, usual_floor
from validation.verdicts.loads import load_calls
from validation.verdicts.samples import Calls, Measured, Subject, baselines, digest, digest_of, measured

#: How readings name the kernel under validation, whoever wrote it.
CANDIDATE: Final = "candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A contender as it was measured; the floors, and the time `from_memory`, are of its own workload and device."""

    subject: Subject
    measured: Measured
    level: Estimate | None
    floor: Floor | None
    usual_floor: Floor | None
    from_memory: Floor | None

    def whole(self, metric: Metric) -> Floor | None:
        """The time that a share is a share of; None for a metric that is no share, or without ceilings."""
        return {Metric.FLOOR_SHARE: self.usual_floor, Metric.BANDWIDTH_SHARE: self.from_memory}.get(metric)

    @property
    def beats_floor(self) -> bool:
        """Whether its whole interval lies below the least time the machine allows."""
        return self.level is not None and self.floor is not None and self.level.high < self.floor.ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A reading and what was seen of it on one machine; None where nothing was.

    `estimate`, `limit` are in the metric's unit, `claimed_ns` is the time per call that the claim amounts to here.
    `figures` are those of the reading's figure: the candidate's, then the baseline's if it names one. `loads` are the
    requests that count under the reading's load, process by process; none when that is one request at a time.
    `rivals` are the other baselines measured where the baseline was, of another family than the candidate's.
    """

    reading: Reading
    evidence: Evidence
    confidence: float
    workload: WorkloadRecord | None
    candidate: Side
    baseline: Side | None
    rivals: tuple[Side, ...]
    estimate: Estimate | None
    figures: tuple[Figure, ...]
    loads: tuple[Calls, ...]
    null: Estimate | None
    claimed_ns: float | None
    limit: float | None

    @property
    def pairs(self) -> int:
        """Pairs of process values the estimate rests on, or values where nothing is paired."""
        if self.loads:
            return len(self.loads)
        if self.figures:
            return min(len(figure.samples) for figure in self.figures)
        own = self.candidate.measured.values.keys()
        return len(own if self.baseline is None else own & self.baseline.measured.values.keys())

    @property
    def samples_sha256(self) -> str | None:
        """Digest of the calls the estimate was computed from."""
        if self.estimate is None:
            return None
        if self.loads:
            return digest_of([list(calls) for calls in self.loads])
        if self.figures:
            return digest_of([list(figure.samples) for figure in self.figures])
        sides = [side for side in (self.candidate, self.baseline) if side is not None]
        return digest(*(side.measured for side in sides))


def observe(reading: Reading, evidence: Evidence, confidence: float) -> Observation:
    """Returns what `evidence` says of `reading`, intervals at `confidence`."""
    candidate = _candidate(reading, evidence, confidence)
    menu = () if reading.baseline is None else _menu(reading, evidence, confidence, candidate.subject.implementation)
    baseline = _choose(reading.baseline, menu, evidence, candidate)
    family = _family(evidence, candidate.subject.implementation)
    again = measured(evidence, _again(candidate.subject, evidence))
    null = measured(evidence, _first(candidate.subject, evidence)).over(again, NULL_CONFIDENCE)
    workload = _workload(evidence, reading.workload, reading.dtype)
    figures = find_figures(reading, evidence, candidate.subject.implementation)
    loads = load_calls(reading, evidence, candidate.subject)
    return Observation(
        reading=reading,
        evidence=evidence,
        confidence=confidence,
        workload=workload,
        candidate=candidate,
        baseline=baseline,
        rivals=tuple(
            side for side in menu if side is not baseline and _family(evidence, side.subject.implementation) != family
        ),
        estimate=figure_estimate(figures, confidence)
        if reading.metric is Metric.FIGURE
        # Under another load the calls that were timed say nothing.
        else _under_load(reading.metric, loads, confidence)
        if not closed_loop_of_one(reading)
        else _estimate(reading.metric, workload, candidate, baseline, confidence),
        figures=figures,
        loads=loads,
        null=null,
        claimed_ns=_claimed_ns(reading, workload, candidate, baseline),
        limit=_limit(reading.metric, workload, candidate, baseline),
    )


def _candidate(reading: Reading, evidence: Evidence, confidence: float) -> Side:
    name = _named_candidate(evidence) if reading.candidate == CANDIDATE else reading.candidate
    role = Role.CANDIDATE if name == _named_candidate(evidence) else Role.BASELINES
    subject = Subject(
        implementation=name, workload=reading.workload, dtype=reading.dtype, device=reading.device, role=role
    )
    return _side(subject, evidence, confidence)


def _named_candidate(evidence: Evidence) -> str:
    return next((one.name for one in evidence.implementations if one.role == "candidate"), CANDIDATE)


def _first(subject: Subject, evidence: Evidence) -> Subject:
    """The candidate's first process on the workload, whoever the reading is about: the null is one of the machine."""
    return Subject(
        implementation=_named_candidate(evidence),
        workload=subject.workload,
        dtype=subject.dtype,
        device=subject.device,
        role=Role.CANDIDATE,
    )


def _again(subject: Subject, evidence: Evidence) -> Subject:
    first = _first(subject, evidence)
    return Subject(
        implementation=first.implementation,
        workload=first.workload,
        dtype=first.dtype,
        device=first.device,
        role=Role.CANDIDATE_AGAIN,
    )


def _menu(reading: Reading, evidence: Evidence, confidence: float, besides: str) -> tuple[Side, ...]:
    """Every baseline that has a time on the baseline's workload, device and dtype."""
    dtype = reading.baseline_dtype or reading.dtype
    device = reading.baseline_device or reading.device
    sides = (
        _side(
            Subject(implementation=name, workload=reading.workload, dtype=dtype, device=device, role=Role.BASELINES),
            evidence,
            confidence,
        )
        for name in baselines(evidence, reading.workload, dtype, device)
        if name != besides
    )
    return tuple(side for side in sides if side.level is not None)


def _side(subject: Subject, evidence: Evidence, confidence: float) -> Side:
    found = measured(evidence, subject)
    workload = _workload(evidence, subject.workload, subject.dtype)
    hardware = Hardware.of(evidence, subject.device)
    return Side(
        subject=subject,
        measured=found,
        level=found.level(confidence),
        floor=None if workload is None else floor(hardware, workload),
        usual_floor=None if workload is None else usual_floor(hardware, workload),
        from_memory=None if workload is None else from_memory(hardware, workload),
    )


def _choose(baseline: str | None, menu: tuple[Side, ...], evidence: Evidence, candidate: Side) -> Side | None:
    """The named baseline, or the fastest of the menu or of a family of it.

    Variants of the kernel under validation are no competition for it: the strongest is of another family.
    """
    if baseline is None:
        return None
    if baseline == STRONGEST:
        own = _family(evidence, candidate.subject.implementation)
        under_validation = candidate.subject.role is Role.CANDIDATE
        others = [s for s in menu if not under_validation or _family(evidence, s.subject.implementation) != own]
        return min(others, key=_time, default=None)
    prefix, _, family = baseline.partition(":")
    if prefix == STRONGEST:
        of_family = [side for side in menu if _family(evidence, side.subject.implementation) == family]
        return min(of_family, key=_time, default=None)
    return next((side for side in menu if side.subject.implementation == baseline), None)


def _time(side: Side) -> tuple[float, str]:
    assert side.level is not None
    return side.level.value, side.subject.implementation


def _family(evidence: Evidence, implementation: str) -> str:
    return next((one.family for one in evidence.implementations if one.name == implementation), "")


def _workload(evidence: Evidence, name: str, dtype: str) -> WorkloadRecord | None:
    return next((one for one in evidence.workloads if (one.name, one.dtype) == (name, dtype)), None)


def _estimate(  # noqa: PLR0911  # one return per metric
    metric: Metric, workload: WorkloadRecord | None, candidate: Side, baseline: Side | None, confidence: float
) -> Estimate | None:
    time = candidate.level
    if time is None or workload is None:
        return None
    if metric is Metric.SPEEDUP:
        return None if baseline is None else baseline.measured.over(candidate.measured, confidence)
    if metric is Metric.TOKENS_PER_S:
        return time.inverse(workload.tokens * 1e9)
    if metric is Metric.GFLOP_PER_S:
        return time.inverse(workload.flops)
    if metric is Metric.LATENCY_US:
        return time.times(1e-3)
    if (whole := candidate.whole(metric)) is not None:
        return time.inverse(whole.ns)
    if metric in QUANTILES:
        found = quantile(list(candidate.measured.calls.values()), QUANTILES[metric], confidence)
        return None if found is None else found.times(1e-3)
    return None


def _under_load(metric: Metric, loads: tuple[Calls, ...], confidence: float) -> Estimate | None:
    """The quantile over the processes' requests, in microseconds."""
    found = quantile(loads, QUANTILES[metric], confidence) if metric in QUANTILES else None
    return None if found is None else found.times(1e-3)


def _claimed_ns(
    reading: Reading, workload: WorkloadRecord | None, candidate: Side, baseline: Side | None
) -> float | None:
    """The time of one call if the claim held: of a speedup, the slow end of the baseline's interval over the bound."""
    bound = reading.requirement.bound
    if workload is None:
        return None
    if reading.metric is Metric.SPEEDUP:
        return None if baseline is None or baseline.level is None else baseline.level.high / bound
    if reading.metric is Metric.TOKENS_PER_S:
        return workload.tokens / bound * 1e9
    if reading.metric is Metric.GFLOP_PER_S:
        return workload.flops / bound
    if (whole := candidate.whole(reading.metric)) is not None:
        return whole.ns / bound
    return bound * 1e3 if reading.requirement.at_most is not None and reading.metric is not Metric.FIGURE else None


def _limit(  # noqa: PLR0911  # one return per metric
    metric: Metric, workload: WorkloadRecord | None, candidate: Side, baseline: Side | None
) -> float | None:
    """The most (least, of a time) any implementation could reach, by the floor of the candidate's device."""
    if candidate.floor is None or workload is None:
        return None
    ns = candidate.floor.ns
    if ns == 0:
        return None
    if metric is Metric.SPEEDUP:
        return None if baseline is None or baseline.level is None else baseline.level.value / ns
    if metric is Metric.TOKENS_PER_S:
        return workload.tokens / ns * 1e9
    if metric is Metric.GFLOP_PER_S:
        return workload.flops / ns
    if metric is Metric.FLOOR_SHARE:
        return 1.0
    if metric is Metric.BANDWIDTH_SHARE:
        return None if candidate.from_memory is None else candidate.from_memory.ns / ns
    return ns * 1e-3 if metric is Metric.LATENCY_US or metric in QUANTILES else None


def closed_loop_of_one(reading: Reading) -> bool:
    """Whether the load is what every timed series is: one call after the other, the next when one returns."""
    load = reading.load
    return load is None or (load.arrivals is Arrivals.CLOSED and load.concurrency == 1)
