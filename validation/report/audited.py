"""The arithmetic audit as the report shows it: what the published numbers say of each other."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from validation.claims.audit import audit
from validation.claims.audit_finding import AuditFinding, Check, Outcome
from validation.report.material import Material
from validation.report.words import count, listed

_RULES: Final = {
    Check.SAME: "two values for one thing",
    Check.RATIO: "a speedup that is not the ratio of its rates",
    Check.CHAIN: "speedups that do not chain",
    Check.PRODUCT: "factors that do not make their product",
    Check.UNIT: "a rate that is not its work over its time",
    Check.WORK: "a work that does not follow from its shape",
    Check.RATE_TIMES_WORK: "rates that do not fit each other",
    Check.RATE_TIMES_LATENCY: "a rate that does not fit its latency",
    Check.ACROSS_SHAPES: "rates at two shapes",
    Check.CEILING: "rates beyond a machine",
    Check.PROVENANCE: "presented as what it is not",
    Check.CIRCULAR: "computed from what nobody measured",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditGroup:
    """The findings of one outcome and one rule."""

    outcome: Outcome
    rule: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """What the audit found: contradictions and notable findings by rule, agreement by number alone."""

    summary: str
    groups: tuple[AuditGroup, ...]


def audit_view(material: Material) -> AuditView:
    """Returns the audit of every claims file of the report."""
    found = [one for source in material.claims for one in audit(source.file)]
    told = [one for one in found if one.outcome is not Outcome.AGREES]
    return AuditView(
        summary=_summary(found),
        groups=tuple(
            AuditGroup(outcome=outcome, rule=_RULES[check], sentences=_farthest_first(group))
            for (outcome, check), group in groupby(told, key=lambda one: (one.outcome, one.check))
        ),
    )


def _farthest_first(group: Iterable[AuditFinding]) -> tuple[str, ...]:
    return tuple(one.sentence for one in sorted(group, key=lambda one: -one.factor))


def _summary(found: list[AuditFinding]) -> str:
    if not found:
        return "The claims files state no numbers that could be set against each other."
    words = (
        (Outcome.CONTRADICTS, "contradicts the others", "contradict each other or rest on nothing measured"),
        (Outcome.NOTABLE, "is worth knowing", "are worth knowing"),
        (Outcome.AGREES, "agrees", "agree"),
    )
    parts = []
    for outcome, one, many in words:
        number = sum(finding.outcome is outcome for finding in found)
        if number:
            parts.append(f"{number} {one if number == 1 else many}")
    return f"Of {count(len(found), 'comparison')}, {listed(parts)}."
