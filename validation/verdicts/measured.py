"""What the evidence holds of one implementation on one workload: a value per round, and whether it may be trusted."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from validation.evidence.record import Evidence
from validation.performance.sample import ProbeRule, Role, Series, judged
from validation.performance.statistics import Estimate, level, process_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose times are meant: an implementation on a workload, in a dtype, on a device, in processes of a role."""

    implementation: str
    workload: str
    dtype: str
    device: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The process values of a subject in nanoseconds by round, discarded rounds left out.

    `samples_sha256` is over the calls that count, in order; `wrong` counts timed outputs that failed their check.
    """

    values: dict[int, float]
    samples_sha256: str
    wrong: int

    @property
    def level(self) -> Estimate | None:
        """The typical time of a call in nanoseconds."""
        return level(tuple(self.values.values()))


def measured(evidence: Evidence, subject: Subject) -> Measured:
    """Returns what was measured of the subject; blocks count by the rule, whatever their stored flag says."""
    values: dict[int, float] = {}
    samples: list[list[int]] = []
    wrong = 0
    for number, series in _series(evidence, subject):
        wrong += sum(block.outputs_wrong for block in series.blocks)
        calls = _accepted(series, evidence.probe)
        value = process_value(calls)
        if value is not None:
            values[number] = value
            samples.append([number, *calls])
    digest = hashlib.sha256(json.dumps(samples, separators=(",", ":")).encode()).hexdigest()
    return Measured(values=values, samples_sha256=digest, wrong=wrong)


def baselines_of(evidence: Evidence, workload: str, dtype: str, device: str) -> tuple[str, ...]:
    """Returns the baselines that were timed on the workload, by name."""
    return tuple(
        sorted(
            {
                series.implementation
                for process in evidence.processes
                if process.role is Role.BASELINES
                for series in process.series
                if (series.workload, series.dtype, series.device) == (workload, dtype, device)
            }
        )
    )


def _series(evidence: Evidence, subject: Subject) -> Iterator[tuple[int, Series]]:
    wanted = (subject.implementation, subject.workload, subject.dtype, subject.device)
    for process in evidence.processes:
        if process.role is subject.role and not process.discarded:
            for series in process.series:
                if (series.implementation, series.workload, series.dtype, series.device) == wanted:
                    yield process.round, series


def _accepted(series: Series, rule: ProbeRule | None) -> list[int]:
    blocks = series.blocks if rule is None else tuple(judged(block, rule) for block in series.blocks)
    return [ns for block in blocks if block.accepted for ns in block.calls_ns]
