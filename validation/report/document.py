"""The whole report as one value: what the templates are given, for paper and for the screen alike."""

from collections import Counter
from dataclasses import dataclass

from validation.report.ablation import ablation_findings
from validation.report.audited import AuditView, audit_view
from validation.report.charts.style import Chart
from validation.report.conclusion import Conclusion, conclude
from validation.report.headline import headline_charts, headline_rows, page_one_rows
from validation.report.machine import MachineView, machine_view
from validation.report.mark import MARKS, Mark
from validation.report.material import Material, in_order
from validation.report.recorded import Source, sources
from validation.report.strips import Strip, behind, strips
from validation.report.view import ClaimView, FindingView, claim_views, finding_views
from validation.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Everything the report shows."""

    material: Material
    conclusion: Conclusion
    counts: tuple[tuple[Mark, int], ...]
    first_charts: tuple[Chart, ...]
    more_charts: tuple[Chart, ...]
    claims: tuple[ClaimView, ...]
    findings: tuple[FindingView, ...]
    sources: tuple[Source, ...]
    machines: tuple[MachineView, ...]
    ablations: tuple[FindingView, ...]
    audit: AuditView
    strips: tuple[Strip, ...]

    @property
    def candidates(self) -> tuple[tuple[str, str], ...]:
        """Name and source digest of every kernel under validation, each once."""
        found = {
            (record.name, record.sha256): None
            for machine in self.machines
            for record in machine.evidence.implementations
            if record.role == "candidate"
        }
        return tuple(found)

    @property
    def tested(self) -> tuple[ClaimView, ...]:
        """The claims of which something was decided or measured."""
        return tuple(claim for claim in self.claims if claim.tested)

    @property
    def untested(self) -> tuple[ClaimView, ...]:
        """The claims of which nothing was, but for targets: nobody published those."""
        return tuple(claim for claim in self.claims if not claim.tested and not claim.target)

    @property
    def targets_left(self) -> tuple[ClaimView, ...]:
        """The targets of which nothing was measured."""
        return tuple(claim for claim in self.claims if not claim.tested and claim.target)

    @property
    def decided(self) -> tuple[FindingView, ...]:
        """The findings with something to show, which are the rows of the printed table."""
        return tuple(view for view in self.findings if view.finding.verdict is not Verdict.NOT_TESTED)

    @property
    def undecided(self) -> int:
        """How many findings have nothing to show."""
        return len(self.findings) - len(self.decided)

    def behind(self, view: FindingView) -> tuple[int, ...]:
        """Places of the strips that show a finding's samples."""
        return behind(view.finding, view.reading, self.strips)

    def anchor(self, view: FindingView) -> str:
        """Where the times behind a finding stand; empty when it has none."""
        finding = view.finding
        key = (finding.workload, finding.dtype, finding.device)
        places = (
            workload.anchor
            for machine in self.machines
            if machine.source.sha256 == finding.evidence_sha256
            for workload in machine.workloads
            if workload.key == key and finding.estimate is not None
        )
        return next(places, "")


def compose(material: Material) -> Document:
    """Returns the report of the material; equal material gives an equal report."""
    material = in_order(material)
    origins = sources(material)
    findings = finding_views(material, origins)
    claims = claim_views(material, findings)
    titles = {claim.id: claim.title for claim in claims}
    rows = headline_rows(findings)
    several = len(material.evidence) > 1
    conclusion = conclude(material)
    first = page_one_rows(conclusion.paragraphs, [f"{source.name}: {source.label}" for source in origins])
    # A target is told in its sentence: the cards count what somebody claims.
    found = Counter(claim.verdict for claim in material.verdicts.claims if not claim.target)
    always = (Verdict.CONFIRMED, Verdict.REFUTED, Verdict.IMPOSSIBLE, Verdict.INCONCLUSIVE, Verdict.NOT_TESTED)
    return Document(
        material=material,
        conclusion=conclusion,
        counts=tuple((mark, found[verdict]) for verdict, mark in MARKS.items() if found[verdict] or verdict in always),
        first_charts=headline_charts(rows[:first], titles, several=several),
        more_charts=headline_charts(rows[first:], titles, several=several),
        claims=claims,
        findings=findings,
        sources=origins,
        machines=tuple(map(machine_view, material.evidence, origins)),
        ablations=ablation_findings([file.evidence for file in material.evidence], findings),
        audit=audit_view(material),
        strips=strips(material),
    )
