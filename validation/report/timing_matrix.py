"""The workloads that are not drawn, side by side: what a table each would take pages to say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from validation.report.performance import WorkloadView
from validation.report.timing import Timing
from validation.verdicts.units import duration, significant

#: Columns that a page is wide enough for.
_COLUMNS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One implementation: its median time and share of the limit on every workload of the matrix, or a dash."""

    implementation: str
    candidate: bool
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingMatrix:
    """Implementations by workload; the candidate stands first."""

    workloads: tuple[WorkloadView, ...]
    rows: tuple[MatrixRow, ...]


def timing_matrices(workloads: Sequence[WorkloadView]) -> tuple[TimingMatrix, ...]:
    """Returns the workloads as matrices that a page is wide enough for."""
    return tuple(_matrix(workloads[start : start + _COLUMNS]) for start in range(0, len(workloads), _COLUMNS))


def _matrix(workloads: Sequence[WorkloadView]) -> TimingMatrix:
    found = [{timing.implementation: timing for timing in workload.timings} for workload in workloads]
    names = {name: timing.candidate for timings in found for name, timing in timings.items()}
    ordered = sorted(names, key=lambda name: not names[name])
    return TimingMatrix(
        workloads=tuple(workloads),
        rows=tuple(
            MatrixRow(
                implementation=name,
                candidate=names[name],
                cells=tuple(_cell(timings.get(name)) for timings in found),
            )
            for name in ordered
        ),
    )


def _cell(timing: Timing | None) -> str:
    if timing is None:
        return "–"
    share = "" if timing.floor_share is None else f", {significant(100 * timing.floor_share)} %"
    return f"{duration(timing.median_ns / 1e3)}{share}"
