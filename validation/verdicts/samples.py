"""What of the evidence counts: process values by round, derived again from the probes and never taken from a flag."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from validation.evidence.record import Evidence
from validation.performance.load import accepts_load
from validation.performance.sample import ProbeRule, ProcessRun, Role, Series, probe_rule, probes
from validation.performance.statistics import Estimate, accepted_calls, accepts, level, process_value, ratio
from validation.performance.usual import usual_speed
from validation.usage import UsageError

Calls = tuple[int, ...]

#: The quantile of a run's probes that is the cores' full speed: not the largest, which a burst of turbo may be.
_FULL: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One implementation on one workload of one device, in the processes of one role."""

    implementation: str
    workload: str
    dtype: str
    device: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The accepted calls of one subject by round, in nanoseconds; rounds whose process has no value are left out."""

    calls: Mapping[int, Calls]

    @property
    def values(self) -> dict[int, float]:
        """The value of each process by its round."""
        return {
            turn: value for turn, calls in sorted(self.calls.items()) if (value := process_value(calls)) is not None
        }

    def level(self, confidence: float) -> Estimate | None:
        """The typical time of one call, in nanoseconds."""
        return level(list(self.values.values()), confidence)

    def over(self, other: "Measured", confidence: float) -> Estimate | None:
        """How many times as long this takes as `other`, over the rounds both have a value in."""
        mine, others = self.values, other.values
        rounds = sorted(mine.keys() & others.keys())
        return ratio([mine[turn] for turn in rounds], [others[turn] for turn in rounds], confidence)


def measured(evidence: Evidence, subject: Subject) -> Measured:
    """Returns what counts of `subject`: processes after the discarded round, blocks that the rule accepts."""
    return Measured(
        calls={
            process.round: accepted_calls(series, evidence.rule_of(series.device))
            for process, series in _series(evidence, subject)
            if not process.discarded
        }
    )


def baselines(evidence: Evidence, workload: str, dtype: str, device: str) -> tuple[str, ...]:
    """Returns the names of the baselines measured there, sorted."""
    listed = {one.name for one in evidence.implementations if one.role == "baseline"}
    return tuple(
        sorted(
            {
                series.implementation
                for process in evidence.processes
                if process.role is Role.BASELINES
                for series in process.series
                if (series.workload, series.dtype, series.device) == (workload, dtype, device)
                and series.implementation in listed
            }
        )
    )


def wrong_outputs(evidence: Evidence, implementation: str, dtype: str, device: str) -> int:
    """Returns how many timed outputs were wrong, those of the discarded round and of rejected blocks included."""
    under_load = sum(
        run.outputs_wrong
        for run in evidence.loads
        if (run.implementation, run.dtype, run.device) == (implementation, dtype, device)
    )
    return under_load + sum(
        block.outputs_wrong
        for process in evidence.processes
        for series in process.series
        if (series.implementation, series.dtype, series.device) == (implementation, dtype, device)
        for block in series.blocks
    )


def deaths(evidence: Evidence, subject: Subject) -> tuple[str, ...]:
    """Returns how the processes of a subject's role and workload ended, those that did not answer to the end."""
    return tuple(
        f"round {process.round}: {process.ended}"
        for process in evidence.processes
        if process.ended and process.role is subject.role and process.workload in {"", subject.workload}
    )


def own_share(evidence: Evidence, device: str) -> float | None:
    """Returns what the cores usually reached of what one probe in a hundred exceeds; None on a GPU, or unprobed."""
    rule = evidence.rule_of(device)
    if rule is None or not rule.at_usual_speed:
        return None
    speeds = probes(evidence.processes, device)
    return rule.usual_flop_per_s / usual_speed(speeds, _FULL) if speeds else None


def digest(*sides: Measured) -> str:
    """Returns the sha256 over the calls an estimate was computed from."""
    return digest_of([[[turn, side.calls[turn]] for turn in sorted(side.calls)] for side in sides])


def digest_of(samples: Sequence[object]) -> str:
    """Returns the sha256 over samples as compact JSON."""
    return hashlib.sha256(json.dumps(samples, separators=(",", ":")).encode()).hexdigest()


def check_acceptance(evidence: Evidence) -> None:
    """Passes when every stored acceptance follows from the probes beside the block and the rule of the suite.

    Raises:
        UsageError: the rule is not the suite's, its usual probe is not that of the blocks, or a block's flag disagrees.
    """
    where = f"evidence of {evidence.environment.machine} (run {evidence.run_id})"
    for device in ("cpu", "cuda"):
        _check_rule(device, evidence.rule_of(device), probe_rule(evidence.processes, device=device), where)
    for process in evidence.processes:
        for series in process.series:
            for index, block in enumerate(series.blocks):
                expected = accepts(evidence.rule_of(series.device), block)
                if block.accepted is not expected:
                    raise UsageError(
                        f"{where}: round {process.round}, {process.role}, {series.implementation} on "
                        f"{series.workload}, block {index}: accepted must be {expected} by its probes and the rule; "
                        f"got {block.accepted}. The file was altered or is from another suite: run again."
                    )
    for run in evidence.loads:
        expected = accepts_load(evidence.rule_of(run.device), run)
        if run.accepted is not expected:
            raise UsageError(
                f"{where}: the requests of round {run.round} on {run.workload}: accepted must be {expected} by their "
                f"probes and the rule; got {run.accepted}. The file was altered or is from another suite: run again."
            )


def _check_rule(device: str, rule: ProbeRule | None, seen: ProbeRule | None, where: str) -> None:
    if rule is None:
        return
    fixed = ProbeRule.on(device, rule.usual_flop_per_s)
    for name in ("share", "others", "at_usual_speed"):
        must, got = getattr(fixed, name), getattr(rule, name)
        if got != must:
            raise UsageError(f"{where}: probe.{name} must be {must}, fixed before any sample; got {got}. Run again.")
    if seen is not None and seen.usual_flop_per_s != rule.usual_flop_per_s:
        raise UsageError(
            f"{where}: probe.usual_flop_per_s must be the usual probe, {seen.usual_flop_per_s:.6g}; "
            f"got {rule.usual_flop_per_s:.6g}. The file was altered or is from another suite: run again."
        )


def _series(evidence: Evidence, subject: Subject) -> Iterator[tuple[ProcessRun, Series]]:
    for process in evidence.processes:
        if process.role is subject.role:
            for series in process.series:
                if (series.implementation, series.workload, series.dtype, series.device) == (
                    subject.implementation,
                    subject.workload,
                    subject.dtype,
                    subject.device,
                ):
                    yield process, series
