"""Claims and findings as the templates show them: every number already in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from validation.claims.claim import Claim, Reading
from validation.report.mark import MARKS, Mark
from validation.report.material import Material
from validation.report.quantity import limit, measured, metric_words, required
from validation.report.recorded import Source
from validation.report.words import count, listed
from validation.verdicts.units import FIGURE
from validation.verdicts.verdict import Finding, Verdict

#: Titles of the columns of the table that `verify` reads back.
COLUMNS = (
    "Finding",
    "On",
    "Verdict",
    "Reason",
    "Required",
    "Measured [95 % interval]",
    "Pairs",
    "Limit",
    "Samples",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """A finding and its reading, in words. `number` is its place in verdicts.json, from 1, `letter` its machine's."""

    number: int
    finding: Finding
    reading: Reading | None
    mark: Mark
    meaning: str
    letter: str
    required: str
    measured: str
    limit: str

    @property
    def key(self) -> str:
        """Claim and reading: what a finding is called."""
        return f"{self.finding.claim} / {self.finding.reading}"

    @property
    def pairs(self) -> str:
        """How many observations the estimate rests on: pairs of processes, or samples of a figure."""
        return count(self.finding.pairs, "sample" if self.finding.metric.startswith(FIGURE) else "pair")

    @property
    def samples(self) -> str:
        """The first of the digest of the samples; all of it is in verdicts.json."""
        return (self.finding.samples_sha256 or "–")[:12]

    @property
    def reason(self) -> str:
        """The reason code in words."""
        return self.finding.reason.replace("_", " ").replace("gpu", "GPU")

    @property
    def cells(self) -> tuple[str, ...]:
        """The printed row, in the order of `COLUMNS`."""
        return (
            f"{self.number}. {self.key}",
            self.letter,
            f"{self.mark.glyph} {self.mark.word}",
            self.reason,
            self.required,
            self.measured,
            str(self.finding.pairs or "–"),
            self.limit,
            self.samples,
        )

    @property
    def conditions(self) -> str:
        """Metric, workload, dtype, device and baseline."""
        finding = self.finding
        against = f" against {finding.baseline}" if finding.baseline else ""
        device = "CPU" if finding.device == "cpu" else "GPU"
        subject = f"{metric_words(finding)} of {finding.candidate}{against}"
        return f"{subject}; {finding.workload}, {finding.dtype}, {device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimView:
    """A claim, its headline mark, and all its findings."""

    id: str
    title: str
    quote: str
    source: str
    promise: bool
    target: bool
    provenance: str
    provenance_reason: str
    mark: Mark
    findings: tuple[FindingView, ...]

    @property
    def tested(self) -> tuple[FindingView, ...]:
        """The findings with something to show."""
        return tuple(view for view in self.findings if view.finding.verdict is not Verdict.NOT_TESTED)

    @property
    def untested(self) -> tuple[tuple[str, tuple[FindingView, ...]], ...]:
        """The readings that no machine tested, each once, by the reason in words: `no GPU on A, untestable on B`."""
        tested = {view.finding.reading for view in self.tested}
        left: dict[str, list[FindingView]] = {}
        for view in self.findings:
            if view.finding.reading not in tested:
                left.setdefault(view.finding.reading, []).append(view)
        found: dict[str, list[FindingView]] = {}
        for views in left.values():
            found.setdefault(_reasons(views), []).append(views[0])
        return tuple((reason, tuple(group)) for reason, group in found.items())


def finding_views(material: Material, sources: Sequence[Source]) -> tuple[FindingView, ...]:
    """Returns every finding in the order of verdicts.json."""
    readings = _readings(material)
    letters: Mapping[str, str] = {source.sha256: source.letter for source in sources}
    return tuple(
        FindingView(
            number=number,
            finding=finding,
            reading=(reading := readings.get((finding.claim, finding.reading))),
            mark=MARKS[finding.verdict],
            meaning=reading.meaning if reading else "",
            letter=letters.get(finding.evidence_sha256, "–"),
            required=required(finding),
            measured=measured(finding),
            limit=limit(finding),
        )
        for number, finding in enumerate(material.verdicts.findings, 1)
    )


def claim_views(material: Material, views: tuple[FindingView, ...]) -> tuple[ClaimView, ...]:
    """Returns every judged claim in the order of verdicts.json."""
    sources = {claim.id: claim for claim in _claims(material)}
    made = []
    for verdict in material.verdicts.claims:
        claim = sources.get(verdict.id)
        own = tuple(view for view in views if view.finding.claim == verdict.id)
        made.append(
            ClaimView(
                id=verdict.id,
                title=verdict.title,
                quote=verdict.quote,
                source=verdict.source,
                promise=verdict.promise,
                target=verdict.target,
                provenance=claim.provenance if claim else (own[0].finding.provenance if own else "unknown"),
                provenance_reason=claim.provenance_reason if claim else "",
                mark=MARKS[verdict.verdict],
                findings=own,
            )
        )
    return tuple(made)


def _reasons(views: Sequence[FindingView]) -> str:
    """One reason where all machines have the same; else each with the letters of its machines."""
    letters: dict[str, list[str]] = {}
    for view in views:
        letters.setdefault(view.reason, []).append(view.letter)
    if len(letters) == 1:
        return views[0].reason
    return ", ".join(f"{reason} on {listed(on)}" for reason, on in letters.items())


def _claims(material: Material) -> list[Claim]:
    return [claim for source in material.claims for claim in source.file.claims]


def _readings(material: Material) -> dict[tuple[str, str], Reading]:
    return {(claim.id, reading.id): reading for claim in _claims(material) for reading in claim.readings}
