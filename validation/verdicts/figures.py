"""Figures a reading names: quantities that were measured beside the timed calls."""

from collections.abc import Callable, Mapping
from typing import Final

from validation.claims.claim import Reading
from validation.evidence.record import Evidence
from validation.performance.figure import Figure
from validation.performance.sample import Role, Series
from validation.performance.statistics import Estimate, level, ratio


def find_figures(reading: Reading, evidence: Evidence, candidate: str) -> tuple[Figure, ...]:
    """Returns the candidate's figure, and the baseline's after it if the reading names one; empty unless all are there.

    A figure that names no implementation or workload is about the whole run and fits every reading of its name.
    """
    if reading.figure is None:
        return ()
    own = _find(reading, evidence, candidate, reading.device, reading.dtype)
    if reading.baseline is None:
        return () if own is None else (own,)
    other = _find(
        reading,
        evidence,
        reading.baseline,
        reading.baseline_device or reading.device,
        reading.baseline_dtype or reading.dtype,
    )
    return () if own is None or other is None else (own, other)


def figure_estimate(figures: tuple[Figure, ...], confidence: float) -> Estimate | None:
    """Returns the figure itself, or how many times the baseline's is the candidate's, paired in the order taken.

    None without figures, or with too few samples for an interval; samples without a partner are left out.
    """
    if not figures:
        return None
    own = figures[0].samples
    if decided_by_one(figures):
        return Estimate(value=own[0], low=own[0], high=own[0], count=1)
    if len(figures) == 1:
        return level(own, confidence)
    other = figures[1].samples
    pairs = min(len(own), len(other))
    return ratio(other[:pairs], own[:pairs], confidence)


def decided_by_one(figures: tuple[Figure, ...]) -> bool:
    """Returns whether a single observation decides: the claim is about what was observed, not about its like."""
    return len(figures) == 1 and figures[0].exact and len(figures[0].samples) == 1


def _find(reading: Reading, evidence: Evidence, implementation: str, device: str, dtype: str) -> Figure | None:
    recorded = (
        one
        for one in evidence.figures
        if one.name == reading.figure
        and one.implementation in {"", implementation}
        and one.workload in {"", reading.workload}
        and (one.device, one.dtype) == (device, dtype)
    )
    return next(recorded, None) or _of_processes(reading, evidence, implementation, device, dtype)


def _of_processes(reading: Reading, evidence: Evidence, implementation: str, device: str, dtype: str) -> Figure | None:
    """What every process notes of its own beginning, as a figure of one sample a process."""
    noted = BEGINNING.get(reading.figure or "")
    if noted is None:
        return None
    what, method = noted
    samples = tuple(
        what(series)
        for process in sorted(evidence.processes, key=lambda one: one.round)
        if not process.discarded and process.role is not Role.CANDIDATE_AGAIN
        for series in process.series
        if (series.implementation, series.workload, series.device, series.dtype)
        == (implementation, reading.workload, device, dtype)
    )
    positive = tuple(sample for sample in samples if sample > 0)
    if not positive:
        return None
    return Figure(
        name=reading.figure or "",
        device=device,
        dtype=dtype,
        implementation=implementation,
        workload=reading.workload,
        samples=positive,
        method=method,
    )


#: Figures that need no record of their own: name -> what of a series, and how it was taken.
BEGINNING: Final[Mapping[str, tuple[Callable[[Series], float], str]]] = {
    "prepare-s": (lambda series: series.prepare_ns / 1e9, "the worker's clock around prepare"),
    "prepare-bytes": (lambda series: float(series.prepare_bytes), "growth of the process's memory during prepare"),
    "first-call-s": (lambda series: series.first_call_ns / 1e9, "the worker's clock around the first call"),
}
