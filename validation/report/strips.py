"""The samples behind a finding, thinned for the screen: every sample itself is in the embedded evidence."""

from dataclasses import dataclass
from typing import Final

from validation.performance.sample import Role
from validation.performance.statistics import accepts
from validation.report.material import Material
from validation.report.timing import kept

#: Points of one strip: with 60 series some 300 kB of the page.
MOST: Final = 360


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One implementation's calls on one workload, in the order they were made.

    `points` holds (process, microseconds, accepted) of every `every`-th call; rejected ones stay in.
    """

    machine: str
    implementation: str
    candidate: bool
    workload: str
    dtype: str
    device: str
    total: int
    rejected: int
    points: tuple[tuple[int, float, int], ...]


def strips(material: Material) -> tuple[Strip, ...]:
    """Returns the strips of all series of all machines."""
    made = []
    for file in material.evidence:
        evidence = file.evidence
        candidates = {record.name for record in evidence.implementations if record.role == "candidate"}
        grouped: dict[tuple[str, str, str, str], list[tuple[int, float, int]]] = {}
        for process, series in kept(evidence):
            if process.role is Role.CANDIDATE_AGAIN:
                continue
            key = (series.implementation, series.workload, series.dtype, series.device)
            points = grouped.setdefault(key, [])
            for block in series.blocks:
                counted = int(accepts(evidence.probe, block))
                points.extend((process.round, round(ns / 1e3, 2), counted) for ns in block.calls_ns)
        made += [
            Strip(
                machine=evidence.environment.machine,
                implementation=name,
                candidate=name in candidates,
                workload=workload,
                dtype=dtype,
                device=device,
                total=len(points),
                rejected=sum(not counted for _, _, counted in points),
                points=tuple(points[:: -(-len(points) // MOST) or 1]),
            )
            for (name, workload, dtype, device), points in grouped.items()
        ]
    return tuple(made)
