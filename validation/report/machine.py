"""One machine's part of the report: its checks, its timings, and itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from validation.evidence.record import Evidence
from validation.performance.sample import OTHERS_RAN, Block
from validation.report.ablation import ablation_charts, variants
from validation.report.charts.style import Chart
from validation.report.correctness import CorrectnessView, correctness_view
from validation.report.environment import CeilingRow, RunRow, ceiling_rows, facts, left_out, run_rows
from validation.report.material import EvidenceFile
from validation.report.performance import (
    FigureRow,
    WorkloadView,
    figure_rows,
    overview,
    speedups_told,
    workload_views,
)
from validation.report.recorded import Source
from validation.report.timing import timings
from validation.report.timing_matrix import TimingMatrix, timing_matrices
from validation.report.under_load import LoadRow, load_charts, load_rows
from validation.report.words import count
from validation.verdicts.samples import own_share
from validation.verdicts.units import significant
from validation.verdicts.unseen import unseen_calls


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """One evidence file, shown."""

    evidence: Evidence
    source: Source
    correctness: CorrectnessView
    workloads: tuple[WorkloadView, ...]
    matrices: tuple[TimingMatrix, ...]
    charts: tuple[Chart, ...]
    speedups: str
    loads: tuple[LoadRow, ...]
    figures: tuple[FigureRow, ...]
    ablations: tuple[Chart, ...]
    variants: frozenset[str]
    facts: tuple[tuple[str, str], ...]
    ceilings: tuple[CeilingRow, ...]
    runs: tuple[RunRow, ...]
    left_out: tuple[tuple[str, tuple[str, ...]], ...]
    timing_rejected: str
    speed: str
    timed_s: float
    ended: tuple[str, ...]


def machine_view(file: EvidenceFile, source: Source) -> MachineView:
    """Returns what the report says of one machine's evidence."""
    evidence = file.evidence
    times = timings(evidence)
    workloads = workload_views(evidence, times, source.letter, variants(evidence))
    loads = load_rows(evidence)
    blocks = [block for process in evidence.processes for series in process.series for block in series.blocks]
    candidates = [one.name for one in evidence.implementations if one.role == "candidate"]
    unseen = [calls for name in candidates for calls in unseen_calls(evidence, name)]
    return MachineView(
        evidence=evidence,
        source=source,
        correctness=correctness_view(evidence.cases, evidence.gates, evidence.planted, unseen),
        workloads=workloads,
        matrices=timing_matrices([workload for workload in workloads if not workload.drawn]),
        charts=(
            *overview(evidence, times),
            *(chart for workload in workloads for chart in workload.charts),
            *load_charts(loads),
        ),
        speedups=speedups_told(times),
        loads=loads,
        figures=figure_rows(evidence),
        ablations=ablation_charts(evidence, times),
        variants=variants(evidence) & {timing.implementation for timing in times},
        facts=facts(evidence),
        ceilings=ceiling_rows(evidence),
        runs=run_rows(evidence),
        left_out=left_out(evidence),
        timing_rejected=_rejected(blocks),
        speed=_speed(evidence),
        timed_s=sum(block.parent_ns for block in blocks) / 1e9,
        ended=tuple(
            f"round {process.round}, {process.role.replace('_', ' ')}: {process.ended}"
            for process in evidence.processes
            if process.ended
        ),
    )


def _speed(evidence: Evidence) -> str:
    """At what speed of the CPU its times are told; nothing where nothing was timed on it."""
    share = own_share(evidence, "cpu")
    if share is None:
        return ""
    return (
        "Times on the CPU are those at its usual speed, by what a probe read beside each block: "
        f"{significant(100 * share, 2)} % of what its cores reach once in a hundred probes."
    )


def _rejected(blocks: Sequence[Block]) -> str:
    """How many blocks do not count, and how many of them because others had the cores."""
    if not blocks:
        return "no blocks"
    beside = sum(block.reason == OTHERS_RAN for block in blocks)
    told = f", {beside:,} of them beside other processes" if beside else ""
    return f"{sum(not block.accepted for block in blocks):,} of {count(len(blocks), 'block')} of calls{told}"
