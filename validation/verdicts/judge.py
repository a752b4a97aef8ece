"""judge(claims, evidence) -> verdicts: a pure function, the rules of docs/METHOD.md section 4 and nothing else."""

from collections.abc import Sequence
from typing import Final, Protocol

from validation.claims.claim import Claim, Reading
from validation.evidence.record import Evidence, Suite
from validation.performance.statistics import CONFIDENCE, bonferroni
from validation.usage import UsageError
from validation.verdicts import feasibility
from validation.verdicts.certainty import enough, noisy
from validation.verdicts.comparison import compared
from validation.verdicts.explain import metric_name
from validation.verdicts.observation import Observation, observe
from validation.verdicts.reasons import Reason
from validation.verdicts.rules import DELTA, RULES_VERSION
from validation.verdicts.ruling import Ruling
from validation.verdicts.samples import check_acceptance
from validation.verdicts.validity import invalid
from validation.verdicts.verdict import ClaimVerdict, EvidenceReference, Finding, Verdict, Verdicts


class ClaimsSource(Protocol):
    """A claims file that was read."""

    @property
    def sha256(self) -> str:
        """Digest of its bytes."""

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What it holds."""


class EvidenceSource(Protocol):
    """An evidence file that was read."""

    @property
    def sha256(self) -> str:
        """Digest of its bytes."""

    @property
    def evidence(self) -> Evidence:
        """What it holds."""


#: A claim tested on several machines is worth what it is worth on the worst of them.
_WORST_FIRST: Final = (
    Verdict.INVALID,
    Verdict.HARNESS_FAULT,
    Verdict.IMPOSSIBLE,
    Verdict.REFUTED,
    Verdict.INCONCLUSIVE,
    Verdict.CONFIRMED_WEAK_BASELINE,
    Verdict.CONFIRMED,
    Verdict.NOT_TESTED,
)

#: What another run on the same machine makes up for.
_MADE_UP_FOR: Final = frozenset(
    {
        Reason.NO_GPU,
        Reason.WORKLOAD_NOT_RECORDED,
        Reason.CANDIDATE_NOT_MEASURED,
        Reason.BASELINE_NOT_MEASURED,
        Reason.LOAD_NOT_MEASURED,
        Reason.FIGURE_NOT_RECORDED,
    }
)


def judge(claims: Sequence[ClaimsSource], evidences: Sequence[EvidenceSource], suite: Suite) -> Verdicts:
    """Returns a finding for every reading on every machine, and each claim's headline.

    The order of the evidence makes no difference, and a file given twice counts once.

    Args:
        claims: claims files, in the order they are to be listed.
        evidences: evidence files; several machines are judged each for itself.
        suite: the suite that judges.

    Raises:
        UsageError: two machines under one name, or evidence whose acceptance does not follow from its probes.
    """
    files = sorted(
        {one.sha256: one for one in evidences}.values(),
        key=lambda one: (one.evidence.environment.machine, one.evidence.recorded_at, one.sha256),
    )
    _check_machines([one.evidence for one in files])
    for one in files:
        check_acceptance(one.evidence)
    findings = [
        finding
        for source in claims
        for claim in source.claims
        for reading in claim.readings
        for finding in _on_every_machine(claim, reading, files)
    ]
    return Verdicts(
        rules_version=RULES_VERSION,
        suite=suite,
        evidence=tuple(
            EvidenceReference(
                sha256=one.sha256, machine=one.evidence.environment.machine, recorded_at=one.evidence.recorded_at
            )
            for one in files
        ),
        claims_sha256=tuple(source.sha256 for source in claims),
        claims=tuple(_headline(claim, findings) for source in claims for claim in source.claims),
        findings=tuple(findings),
    )


def confidence_of(claim: Claim) -> float:
    """Returns the level of a claim's intervals: 95 % over all the workloads that its testable readings name."""
    return bonferroni(CONFIDENCE, len({one.workload for one in claim.readings if one.untestable is None}))


def rule(seen: Observation, delta: float) -> Ruling:
    """Returns the first ruling of the steps in their order."""
    steps = (
        feasibility.faster_than_floor,
        feasibility.impossible,
        feasibility.absent,
        invalid,
        feasibility.not_measured,
        noisy,
    )
    return next((ruling for step in steps if (ruling := step(seen)) is not None), None) or compared(seen, delta)


def _on_every_machine(claim: Claim, reading: Reading, files: Sequence[EvidenceSource]) -> list[Finding]:
    """One finding per evidence file, less those that say only that another file of the same machine has it.

    What no run can decide is said once.
    """
    if reading.untestable is not None:
        files = files[:1]
    found = [(one, _find(claim, reading, one)) for one in files]
    machines = {one.evidence.environment.fingerprint for one, finding in found if finding.reason not in _MADE_UP_FOR}
    kept: list[Finding] = []
    said: set[str] = set()
    for one, finding in found:
        fingerprint = one.evidence.environment.fingerprint
        if finding.reason in _MADE_UP_FOR and (fingerprint in machines or fingerprint in said):
            continue
        said.add(fingerprint)
        kept.append(finding)
    return kept


def _find(claim: Claim, reading: Reading, source: EvidenceSource) -> Finding:
    evidence = source.evidence
    confidence = confidence_of(claim)
    seen = observe(reading, evidence, confidence)
    # What its author set himself is judged without tolerance: nobody grants himself five percent.
    ruling = rule(seen, 0.0 if claim.promise or claim.target else DELTA)
    requirement, estimate, floor = reading.requirement, seen.estimate, seen.candidate.floor
    return Finding(
        claim=claim.id,
        reading=reading.id,
        strict=reading.strict,
        machine=evidence.environment.machine,
        device=reading.device,
        workload=reading.workload,
        dtype=reading.dtype,
        candidate=seen.candidate.subject.implementation,
        baseline=seen.baseline.subject.implementation if seen.baseline is not None else reading.baseline,
        metric=metric_name(reading),
        comparison="at_least" if requirement.at_least is not None else "at_most",
        required=requirement.bound,
        up_to=requirement.up_to,
        estimate=None if estimate is None else estimate.value,
        interval=(estimate.low, estimate.high) if estimate is not None and enough(seen) else None,
        pairs=0 if estimate is None else seen.pairs,
        limit=seen.limit,
        floor_us=None if floor is None else floor.ns / 1e3,
        verdict=ruling.verdict,
        reason=ruling.reason,
        explanation=ruling.explanation,
        provenance=claim.provenance,
        promise=claim.promise,
        target=claim.target,
        confidence=confidence if estimate is not None and enough(seen) else None,
        samples_sha256=seen.samples_sha256,
        evidence_sha256=source.sha256,
    )


def _headline(claim: Claim, findings: Sequence[Finding]) -> ClaimVerdict:
    strict = {one.verdict for one in findings if one.claim == claim.id and one.strict}
    return ClaimVerdict(
        id=claim.id,
        title=claim.title,
        quote=claim.quote,
        source=claim.source,
        verdict=next((verdict for verdict in _WORST_FIRST if verdict in strict), Verdict.NOT_TESTED),
        promise=claim.promise,
        target=claim.target,
    )


def _check_machines(evidences: Sequence[Evidence]) -> None:
    seen: dict[str, str] = {}
    for evidence in evidences:
        machine, fingerprint = evidence.environment.machine, evidence.environment.fingerprint
        if seen.setdefault(machine, fingerprint) != fingerprint:
            raise UsageError(
                f"evidence of machine {machine!r}: one name must be one machine; got the fingerprints "
                f"{seen[machine][:12]} and {fingerprint[:12]}. Judge them apart, or rename one of them."
            )
