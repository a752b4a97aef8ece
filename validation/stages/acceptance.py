"""Whether a run ends with 0: the candidate is right, honest, and keeps what this project promises of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validation.correctness.case import Outcome
from validation.performance.sample import Role
from validation.verdicts.accusations import accusations
from validation.verdicts.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from validation.evidence.record import Evidence
    from validation.verdicts.verdict import Verdicts

#: A promise of ours is broken by these; an inconclusive one is neither kept nor broken.
_BROKEN: Final = frozenset({Verdict.REFUTED, Verdict.IMPOSSIBLE, Verdict.INVALID})

#: A screenful at two lines each; all of them are in the evidence.
_SHOWN: Final = 6


def objections(evidences: Iterable[Evidence], verdicts: Verdicts | None) -> tuple[str, ...]:
    """Returns why the candidate is rejected, one line each; empty when it is accepted.

    Verdicts about somebody else's claims are no objection, whatever they are.
    """
    found: list[str] = []
    for evidence in evidences:
        candidates = {one.name for one in evidence.implementations if one.role == "candidate"}
        found.extend(
            f"{case.check}: {case.message or 'failed'} -> {case.repro}"
            for case in evidence.cases
            if case.implementation in candidates and case.outcome is Outcome.FAILED
        )
        found.extend(
            f"{gate.gate}: {gate.message or 'failed'}"
            for gate in evidence.gates
            if gate.implementation in candidates and gate.outcome is Outcome.FAILED
        )
        found.extend(
            f"round {process.round}: the candidate's process ended: {process.ended}"
            for process in evidence.processes
            if process.role is not Role.BASELINES and process.ended
        )
        wrong = sum(
            block.outputs_wrong
            for process in evidence.processes
            for series in process.series
            if series.implementation in candidates
            for block in series.blocks
        )
        if wrong:
            found.append(f"timed outputs: {wrong} of the candidate's timed calls returned a wrong output")
        for name in candidates:
            found.extend(f"timed calls: {one.seen}" for one in accusations(evidence, name))
    if verdicts is not None:
        found.extend(
            f"promise {finding.claim}: {finding.explanation}"
            for finding in verdicts.findings
            if finding.promise and finding.verdict in _BROKEN
        )
    return tuple(found)


def reject(found: tuple[str, ...], console: Console) -> bool:
    """Prints the objections; returns whether there are none."""
    if not found:
        return True
    console.print("[bold]The candidate is rejected:[/]")
    for line in found[:_SHOWN]:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if len(found) > _SHOWN:
        console.print(f"  ... and {len(found) - _SHOWN} more", highlight=False)
    return False
