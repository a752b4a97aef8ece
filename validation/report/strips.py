"""The samples behind a finding, thinned for the screen: every sample itself is in the embedded evidence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from validation.claims.claim import Reading
from validation.evidence.record import Evidence
from validation.performance.load import accepts_load
from validation.performance.sample import Role
from validation.performance.statistics import accepts, counted_ns
from validation.report.material import EvidenceFile, Material
from validation.report.quantity import figure_unit
from validation.report.timing import kept
from validation.report.under_load import load_words
from validation.verdicts.figures import find_figures
from validation.verdicts.observation import closed_loop_of_one
from validation.verdicts.verdict import Finding

if TYPE_CHECKING:
    from validation.performance.figure import Figure

#: Points of one strip: with 60 series some 300 kB of the page.
MOST: Final = 360


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One implementation's samples on one workload, in the order they were taken; `kind` is empty for timed calls.

    `points` holds (process, value, accepted) of every so manyth sample; rejected ones stay in.
    """

    evidence: str
    implementation: str
    workload: str
    dtype: str
    device: str
    kind: str
    what: str
    unit: str
    total: int
    rejected: int
    points: tuple[tuple[int, float, int], ...]


def strips(material: Material) -> tuple[Strip, ...]:
    """Returns the strips of all series, loads and judged figures of all machines."""
    return tuple(
        strip for file in material.evidence for strip in (*_calls(file), *_loads(file), *_figures(file, material))
    )


def behind(finding: Finding, reading: Reading | None, made: Sequence[Strip]) -> tuple[int, ...]:
    """Returns the places in `made` of the samples behind a finding's estimate, the candidate's first."""
    if finding.estimate is None:
        return ()
    kind = _kind(reading)
    sides = [(finding.candidate, finding.dtype, finding.device)]
    if finding.baseline is not None:
        dtype = (reading.baseline_dtype if reading else None) or finding.dtype
        device = (reading.baseline_device if reading else None) or finding.device
        sides.append((finding.baseline, dtype, device))
    return tuple(
        index
        for name, dtype, device in sides
        for index, strip in enumerate(made)
        if (strip.evidence, strip.kind, strip.dtype, strip.device) == (finding.evidence_sha256, kind, dtype, device)
        # A figure that names no implementation or workload is about the whole run.
        and strip.implementation in {name, ""}
        and strip.workload in {finding.workload, ""}
    )


def _kind(reading: Reading | None) -> str:
    if reading is not None and reading.figure is not None:
        return f"figure {reading.figure}"
    if reading is not None and not closed_loop_of_one(reading) and reading.load is not None:
        return f"load {load_words(reading.load)}"
    return ""


def _loads(file: EvidenceFile) -> Iterable[Strip]:
    grouped: dict[tuple[str, str, str, str, str], list[tuple[int, float, int]]] = {}
    for run in file.evidence.loads:
        key = (run.implementation, run.workload, run.dtype, run.device, load_words(run.load))
        counted = int(accepts_load(file.evidence.rule_of(run.device), run))
        points = grouped.setdefault(key, [])
        points.extend((run.round, round(ns / 1e3, 2), counted) for ns in run.latencies_ns)
    for (name, workload, dtype, device, load), points in grouped.items():
        yield Strip(
            evidence=file.sha256,
            implementation=name,
            workload=workload,
            dtype=dtype,
            device=device,
            kind=f"load {load}",
            what=f"requests, {load},",
            unit="microseconds",
            total=len(points),
            rejected=sum(not counted for _, _, counted in points),
            points=_thinned(points),
        )


def _thinned(points: Sequence[tuple[int, float, int]]) -> tuple[tuple[int, float, int], ...]:
    return tuple(points[:: -(-len(points) // MOST) or 1])


def _calls(file: EvidenceFile) -> Iterable[Strip]:
    for (name, workload, dtype, device), points in _grouped(file.evidence).items():
        yield Strip(
            evidence=file.sha256,
            implementation=name,
            workload=workload,
            dtype=dtype,
            device=device,
            kind="",
            what="calls",
            unit="microseconds",
            total=len(points),
            rejected=sum(not counted for _, _, counted in points),
            points=_thinned(points),
        )


def _grouped(evidence: Evidence) -> dict[tuple[str, str, str, str], list[tuple[int, float, int]]]:
    grouped: dict[tuple[str, str, str, str], list[tuple[int, float, int]]] = {}
    for process, series in kept(evidence):
        if process.role is Role.CANDIDATE_AGAIN:
            continue
        key = (series.implementation, series.workload, series.dtype, series.device)
        points = grouped.setdefault(key, [])
        for block in series.blocks:
            rule = evidence.rule_of(series.device)
            counted = int(accepts(rule, block))
            points.extend((process.round, round(ns / 1e3, 2), counted) for ns in counted_ns(rule, block))
    return grouped


def _figures(file: EvidenceFile, material: Material) -> Iterable[Strip]:
    """Of the figures that findings rest on, those that processes note of their own beginning included."""
    readings = {
        (claim.id, one.id): one for source in material.claims for claim in source.file.claims for one in claim.readings
    }
    found: dict[tuple[str, ...], Figure] = {}
    for finding in material.verdicts.findings:
        reading = readings.get((finding.claim, finding.reading))
        if reading is None or finding.estimate is None or finding.evidence_sha256 != file.sha256:
            continue
        for one in find_figures(reading, file.evidence, finding.candidate):
            found[one.name, one.implementation, one.workload, one.dtype, one.device] = one
    for one in found.values():
        points = tuple((index, float(f"{value:.4g}"), 1) for index, value in enumerate(one.samples))
        yield Strip(
            evidence=file.sha256,
            implementation=one.implementation,
            workload=one.workload,
            dtype=one.dtype,
            device=one.device,
            kind=f"figure {one.name}",
            what="samples",
            unit=figure_unit(one.name),
            total=len(points),
            rejected=0,
            points=_thinned(points),
        )
