"""What each implementation took, in a form to be shown: process medians, and the calls behind them."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from validation.evidence.record import Evidence
from validation.performance.ceiling import Ceiling, Resource
from validation.performance.sample import ProcessRun, Role, Series
from validation.performance.statistics import Estimate, accepted_calls, process_value
from validation.verdicts.floors import Floor, Hardware, floor, usual_floor
from validation.verdicts.samples import Subject, measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One implementation on one workload of one machine, over all kept processes.

    `process_ns` is the median of every process, `median_ns` the median of those; `calls_ns` every accepted call.
    `floor` is the least time the ceilings allow, the one that verdicts rest on.
    """

    machine: str
    implementation: str
    family: str
    candidate: bool
    workload: str
    dtype: str
    device: str
    process_ns: tuple[float, ...]
    median_ns: float
    calls_ns: tuple[int, ...]
    rejected: int
    prepare_ns: int
    flops: int
    min_bytes: int
    floor: Floor | None
    usual_floor: Floor | None

    @property
    def gflop_per_s(self) -> float:
        """The rate at the median."""
        return self.flops / self.median_ns

    @property
    def floor_share(self) -> float | None:
        """Share of the hardware's usual limit that is reached: 1 is the limit."""
        return None if self.usual_floor is None else self.usual_floor.ns / self.median_ns


def over(evidence: Evidence, one: Timing, other: Timing, confidence: float) -> Estimate | None:
    """Returns how many times `other`'s time `one` takes, over the rounds that both have a value in; None without."""
    first, second = (
        measured(
            evidence,
            Subject(
                implementation=timing.implementation,
                workload=timing.workload,
                dtype=timing.dtype,
                device=timing.device,
                role=Role.CANDIDATE if timing.candidate else Role.BASELINES,
            ),
        )
        for timing in (one, other)
    )
    return first.over(second, confidence)


def timings(evidence: Evidence) -> tuple[Timing, ...]:
    """Returns every implementation's times by workload, dtype and device, the candidate first, then by speed."""
    workloads = {(record.name, record.dtype): record for record in evidence.workloads}
    families = {record.name: record for record in evidence.implementations}
    grouped: dict[tuple[str, str, str, str], list[Series]] = {}
    for process, series in kept(evidence):
        if process.role is Role.CANDIDATE_AGAIN:
            continue
        grouped.setdefault((series.workload, series.dtype, series.device, series.implementation), []).append(series)
    made = []
    for (name, dtype, device, implementation), all_series in grouped.items():
        rule = evidence.rule_of(device)
        medians = [value for s in all_series if (value := process_value(accepted_calls(s, rule))) is not None]
        workload = workloads.get((name, dtype))
        if not medians or workload is None:
            continue
        record = families.get(implementation)
        accepted = tuple(ns for s in all_series for ns in accepted_calls(s, rule))
        made.append(
            Timing(
                machine=evidence.environment.machine,
                implementation=implementation,
                family=record.family if record else "",
                candidate=record is not None and record.role == "candidate",
                workload=name,
                dtype=dtype,
                device=device,
                process_ns=tuple(medians),
                median_ns=statistics.median(medians),
                calls_ns=accepted,
                rejected=sum(len(block.calls_ns) for s in all_series for block in s.blocks) - len(accepted),
                prepare_ns=int(statistics.median(s.prepare_ns for s in all_series)),
                flops=workload.flops,
                min_bytes=workload.min_bytes,
                floor=floor(Hardware.of(evidence, device), workload),
                usual_floor=usual_floor(Hardware.of(evidence, device), workload),
            )
        )
    order = {(record.name, record.dtype): index for index, record in enumerate(evidence.workloads)}
    return tuple(
        sorted(
            made, key=lambda t: (order[t.workload, t.dtype], t.device, not t.candidate, t.median_ns, t.implementation)
        )
    )


def kept(evidence: Evidence) -> Iterable[tuple[ProcessRun, Series]]:
    """Gives every series of a process that counts, in the order the processes ran."""
    for process in sorted(evidence.processes, key=lambda p: (p.round, p.position)):
        if not process.discarded:
            for series in process.series:
                yield process, series


def peak(evidence: Evidence, dtype: str, device: str) -> float | None:
    """Returns the highest measured FLOP/s of the dtype on a device."""
    return max((c.value for c in _of(evidence, device, Resource.COMPUTE) if c.dtype == dtype), default=None)


def bandwidths(evidence: Evidence, device: str) -> tuple[tuple[str, float], ...]:
    """Returns (level, byte/s) of every level that was read from, the best of each, the fastest first."""
    best: dict[str, float] = {}
    for ceiling in _of(evidence, device, Resource.READ_BANDWIDTH):
        level = ceiling.level or "memory"
        best[level] = max(best.get(level, 0.0), ceiling.value)
    return tuple(sorted(best.items(), key=lambda item: -item[1]))


def _of(evidence: Evidence, device: str, resource: Resource) -> list[Ceiling]:
    return [one for one in evidence.ceilings if one.device == device and one.resource is resource]


def by_workload(all_timings: Iterable[Timing]) -> Mapping[tuple[str, str, str], tuple[Timing, ...]]:
    """Returns the timings of each (workload, dtype, device), in their order."""
    groups: dict[tuple[str, str, str], list[Timing]] = {}
    for timing in all_timings:
        groups.setdefault((timing.workload, timing.dtype, timing.device), []).append(timing)
    return {key: tuple(group) for key, group in groups.items()}
