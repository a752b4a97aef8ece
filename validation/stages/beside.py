"""What a run measures beside the calls, in the candidate's own processes while its kernel is warm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from validation.claims.claim import Metric
from validation.performance.overhead import OVERHEAD_SHARE, measure_overhead_share, overhead_figure
from validation.performance.under_load import measure_load
from validation.verdicts.observation import closed_loop_of_one
from validation.workloads.inputs import TokenBank
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validation.claims.claim import Load, Reading
    from validation.performance.figure import Figure
    from validation.performance.load import LoadRun
    from validation.performance.series import Gauge, Subject, WorkerLike
    from validation.report.material import ClaimsSource
    from validation.workloads.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Serves requests under `loads` and times empty calls against those of `overheads`; keeps what came of it.

    Workloads in `overheads` are of the same layer as the one that is timed, so its prepared kernel serves them.
    """

    loads: tuple[Load, ...]
    overheads: tuple[TokenBank, ...]
    runs: list[LoadRun] = field(default_factory=list)
    shares: dict[str, list[float]] = field(default_factory=dict)

    def __call__(self, subject: Subject, worker: WorkerLike, gauge: Gauge, turn: int) -> None:
        """Measures, in one process."""
        if not subject.profile.requests:
            return
        for bank in self.overheads:
            share = measure_overhead_share(bank, subject.key, worker, gauge)
            if share is not None:
                self.shares.setdefault(bank.workload.name, []).append(share)
        for load in self.loads:
            self.runs.append(measure_load(subject, load, worker, gauge, turn))

    def taken(self) -> tuple[LoadRun, ...]:
        """Returns the requests served since the last time."""
        runs = tuple(self.runs)
        self.runs.clear()
        return runs

    def figures(self, implementation: str, earlier: Sequence[Figure]) -> tuple[Figure, ...]:
        """Returns `earlier` and the figures of this workload, a resumed run's samples after those it had."""
        found = {(one.name, one.workload): one for one in earlier}
        for bank in self.overheads:
            samples = tuple(self.shares.get(bank.workload.name, ()))
            before = found.get((OVERHEAD_SHARE, bank.workload.name))
            samples = (*(before.samples if before else ()), *samples)
            if samples:
                found[OVERHEAD_SHARE, bank.workload.name] = overhead_figure(bank.workload, implementation, samples)
        return tuple(found.values())


def beside(claims: Sequence[ClaimsSource], workload: Workload) -> Beside:
    """Returns what testable readings ask for beside the calls on `workload`."""
    return Beside(
        loads=_loads(claims, workload),
        overheads=tuple(TokenBank.draw(one) for one in _overheads(claims, workload)),
    )


def _loads(claims: Sequence[ClaimsSource], workload: Workload) -> tuple[Load, ...]:
    """The loads named on the workload, but for one request at a time: that is what is timed anyway."""
    named = (
        reading.load
        for reading in _testable(claims)
        if not closed_loop_of_one(reading)
        and (reading.workload, reading.dtype) == (workload.name, workload.layer.dtype)
    )
    return tuple(dict.fromkeys(load for load in named if load is not None))


def _overheads(claims: Sequence[ClaimsSource], workload: Workload) -> tuple[Workload, ...]:
    """The workloads of the same layer whose share of call overhead is named."""
    named = (
        find_workload(reading.workload)
        for reading in _testable(claims)
        if reading.metric is Metric.FIGURE and reading.figure == OVERHEAD_SHARE
    )
    same = (one for one in named if (one.layer, one.seed) == (workload.layer, workload.seed))
    return tuple({one.name: one for one in same}.values())


def _testable(claims: Sequence[ClaimsSource]) -> Iterator[Reading]:
    return (
        reading
        for source in claims
        for claim in source.file.claims
        for reading in claim.readings
        if reading.untestable is None
    )
