"""Ablations as the report shows them: variants of the kernel under validation that lack one part of it."""

from collections.abc import Sequence
from typing import Final

from validation.evidence.record import Evidence
from validation.report.charts.contributions import Contribution, contributions
from validation.report.charts.style import Chart
from validation.report.timing import Timing, by_workload, over
from validation.report.view import FindingView
from validation.report.words import count, listed
from validation.verdicts.units import significant

_CONFIDENCE: Final = 0.95


def ablation_charts(evidence: Evidence, times: Sequence[Timing]) -> tuple[Chart, ...]:
    """Returns a figure per workload on which variants of the candidate were timed beside it."""
    made = []
    for group in by_workload(times).values():
        whole = next((t for t in group if t.candidate), None)
        if whole is None:
            continue
        parts = [
            part
            for t in group
            if t.implementation in variants(evidence) and (part := _part(evidence, whole, t)) is not None
        ]
        if parts:
            made.append(_chart(whole, sorted(parts, key=lambda part: -part.ratio)))
    return tuple(made)


def variants(evidence: Evidence) -> frozenset[str]:
    """Returns the names of what was run beside the candidate and is of its own family: the same kernel less a part."""
    families = {one.family for one in evidence.implementations if one.role == "candidate"}
    return frozenset(one.name for one in evidence.implementations if one.role == "baseline" and one.family in families)


def ablation_findings(evidences: Sequence[Evidence], views: Sequence[FindingView]) -> tuple[FindingView, ...]:
    """Returns the measured findings that set the kernel, or a variant of it, against a variant."""
    names = frozenset().union(*(variants(evidence) for evidence in evidences))
    return tuple(
        view
        for view in views
        if view.finding.estimate is not None and names & {view.finding.candidate, view.finding.baseline or ""}
    )


def _part(evidence: Evidence, whole: Timing, without: Timing) -> Contribution | None:
    """Time without the part over time with it, over the rounds that both have a value in."""
    estimate = over(evidence, without, whole, _CONFIDENCE)
    if estimate is None:
        return None
    return Contribution(
        name=_name(evidence, without),
        ratio=estimate.value,
        interval=(estimate.low, estimate.high),
        text=f"{significant(estimate.value)}× [{significant(estimate.low)}, {significant(estimate.high)}]",
    )


def _name(evidence: Evidence, without: Timing) -> str:
    """What was changed: the variant's description, less "the ... kernel," or whatever else the kernel's begins with."""
    described = {one.name: one.description for one in evidence.implementations}
    own = described.get(without.implementation, "")
    if " kernel, " in own:
        return own.rpartition(" kernel, ")[2]
    whole = {described[one.name].partition(", ")[0] for one in evidence.implementations if one.role == "candidate"}
    first, _, changed = own.partition(", ")
    return changed if changed and first in whole else own or without.implementation


def _chart(whole: Timing, parts: Sequence[Contribution]) -> Chart:
    helpful = [part for part in parts if part.interval is not None and part.interval[0] > 1]
    told = listed([f"{part.name}: {part.text}" for part in parts])
    return contributions(
        parts,
        alt=f"What taking a part away does on {whole.workload}, {whole.dtype}: "
        f"{count(len(helpful), 'part')} of {len(parts)} certainly "
        f"{'makes' if len(helpful) == 1 else 'make'} the kernel faster. {told}.",
        caption=f"{whole.workload}, {whole.dtype}: each row is the kernel with one thing changed. A bar to the right "
        "says how many times as long a call then takes; one to the left, that the kernel is faster without.",
    )
