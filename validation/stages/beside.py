"""What a run measures beside the calls, in the candidate's own processes while its kernel is warm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from validation.claims.claim import Metric
from validation.performance.official import OFFICIAL_RATIO, measure_official, official_figure
from validation.performance.overhead import OVERHEAD_SHARE, measure_overhead_share, overhead_figure
from validation.performance.sample import Role
from validation.performance.under_load import measure_load
from validation.verdicts.observation import closed_loop_of_one
from validation.verdicts.samples import Subject, measured
from validation.workloads.inputs import TokenBank
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from validation.claims.claim import Load, Reading
    from validation.evidence.record import Evidence
    from validation.performance.figure import Figure
    from validation.performance.gauge import Gauge
    from validation.performance.load import LoadRun
    from validation.performance.series import Subject as Timed
    from validation.performance.worker_like import WorkerLike
    from validation.report.material import ClaimsSource
    from validation.workloads.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Serves requests under `loads`, times empty calls against those of `overheads`, and runs Mojo's own benchmark.

    Workloads in `overheads` are of the same layer as the one that is timed, so its prepared kernel serves them.
    `program` is the benchmark's, None where it is not asked for. What came of it all is kept until it is taken.
    """

    workload: Workload
    threads: int
    loads: tuple[Load, ...]
    overheads: tuple[TokenBank, ...]
    program: Path | None
    runs: list[LoadRun] = field(default_factory=list)
    official_flop: dict[int, float] = field(default_factory=dict)
    shares: dict[str, list[float]] = field(default_factory=dict)

    def __call__(self, subject: Timed, worker: WorkerLike, gauge: Gauge, turn: int) -> None:
        """Measures, in one process."""
        if not subject.profile.requests:
            return
        for bank in self.overheads:
            share = measure_overhead_share(bank, subject.key, worker, gauge)
            if share is not None:
                self.shares.setdefault(bank.workload.name, []).append(share)
        if self.program is not None:
            # The worker's threads sleep meanwhile: it was settled after its last block.
            flop = measure_official(self.program, self.workload, self.threads, gauge)
            if flop is not None:
                self.official_flop[turn] = flop
        for load in self.loads:
            self.runs.append(measure_load(subject, load, worker, gauge, turn))

    def taken(self) -> tuple[LoadRun, ...]:
        """Returns the requests served since the last time."""
        runs = tuple(self.runs)
        self.runs.clear()
        return runs

    def figures(self, evidence: Evidence, implementation: str) -> tuple[Figure, ...]:
        """Returns the evidence's figures and those of this workload, a resumed run's samples after those it had."""
        found = {(one.name, one.workload, one.implementation): one for one in evidence.figures}
        taken = {(OVERHEAD_SHARE, name): samples for name, samples in self.shares.items()}
        taken[OFFICIAL_RATIO, self.workload.name] = self._official(evidence, implementation)
        for (figure, name), samples in taken.items():
            before = found.get((figure, name, implementation))
            every = (*(before.samples if before else ()), *samples)
            if every:
                make = official_figure if figure == OFFICIAL_RATIO else overhead_figure
                found[figure, name, implementation] = make(find_workload(name), implementation, every)
        return tuple(found.values())

    def _official(self, evidence: Evidence, implementation: str) -> list[float]:
        """The ratio of this suite's figure to the module's, of each round that has both."""
        layer = self.workload.layer
        subject = Subject(
            implementation=implementation,
            workload=self.workload.name,
            dtype=layer.dtype,
            device=layer.device,
            role=Role.CANDIDATE,
        )
        rule, own = evidence.rule_of(layer.device), measured(evidence, subject).values
        if rule is None:
            return []
        usual = rule.usual_flop_per_s * 1e-9
        return [own[turn] * usual / flop for turn, flop in self.official_flop.items() if turn in own]


def beside(claims: Sequence[ClaimsSource], workload: Workload, threads: int, program: Path | None) -> Beside:
    """Returns what testable readings ask for beside the calls on `workload`; `program` is Mojo's own benchmark."""
    return Beside(
        workload=workload,
        threads=threads,
        loads=_loads(claims, workload),
        program=program if _official(claims, workload) else None,
        overheads=tuple(TokenBank.draw(one) for one in _overheads(claims, workload)),
    )


def _loads(claims: Sequence[ClaimsSource], workload: Workload) -> tuple[Load, ...]:
    """The loads named on the workload, but for one request at a time: that is what is timed anyway."""
    named = (
        reading.load
        for reading in _testable(claims, workload)
        if not closed_loop_of_one(reading)
        and (reading.workload, reading.dtype) == (workload.name, workload.layer.dtype)
    )
    return tuple(dict.fromkeys(load for load in named if load is not None))


def _overheads(claims: Sequence[ClaimsSource], workload: Workload) -> tuple[Workload, ...]:
    """The workloads of the same layer whose share of call overhead is named."""
    named = (
        find_workload(reading.workload)
        for reading in _testable(claims, workload)
        if reading.metric is Metric.FIGURE and reading.figure == OVERHEAD_SHARE
    )
    same = (one for one in named if (one.layer, one.seed) == (workload.layer, workload.seed))
    return tuple({one.name: one for one in same}.values())


def _official(claims: Sequence[ClaimsSource], workload: Workload) -> bool:
    """Whether a reading compares this suite's figure on the workload with that of Mojo's own module."""
    return any(
        reading.figure == OFFICIAL_RATIO and (reading.workload, reading.dtype) == (workload.name, workload.layer.dtype)
        for reading in _testable(claims, workload)
    )


def _testable(claims: Sequence[ClaimsSource], workload: Workload) -> Iterator[Reading]:
    return (
        reading
        for source in claims
        for claim in source.file.claims
        for reading in claim.readings
        if reading.untestable is None and reading.device == workload.layer.device
    )
