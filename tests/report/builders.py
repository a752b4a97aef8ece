"""Material to report on: synthetic evidence, the published claims, and verdicts of the test's choosing."""

from pathlib import Path

import validation.claims.load as loading
from tests.synthetic import SUITE, evidence
from validation.claims.load import parse_claims
from validation.evidence.record import Evidence
from validation.evidence.store import dump, sha256
from validation.report.material import ClaimsSource, EvidenceFile, Material
from validation.verdicts.judge import judge
from validation.verdicts.verdict import Finding, Verdict


def claims_source(path: Path = loading.SEED_CLAIMS) -> ClaimsSource:
    """A claims file as it is attached."""
    data = path.read_bytes()
    return ClaimsSource(data=data, file=parse_claims(data, path.name))


def hostile(text: str) -> ClaimsSource:
    """The example's claims with `text` wherever a stranger may write something."""
    data = loading.EXAMPLE_CLAIMS.read_bytes()
    source = parse_claims(data, "example_claims.toml")
    claims = tuple(
        claim.model_copy(
            update={
                "title": text,
                "quote": text,
                "source": text,
                "provenance_reason": text,
                "readings": tuple(one.model_copy(update={"meaning": text}) for one in claim.readings),
            }
        )
        for claim in source.claims
    )
    return ClaimsSource(data=data, file=source.model_copy(update={"claims": claims}))


def material(*evidences: Evidence, claims: tuple[ClaimsSource, ...] | None = None) -> Material:
    """A whole report's material, judged by the current rules; the study's two cores when no evidence is given."""
    files = tuple(EvidenceFile(data=dump(one), evidence=one) for one in evidences or (evidence(),))
    sources = (claims_source(), claims_source(loading.OWN_CLAIMS)) if claims is None else claims
    verdicts = judge(tuple(s.file for s in sources), files, SUITE)
    assert {ref.sha256 for ref in verdicts.evidence} == {sha256(f.data) for f in files}
    return Material(evidence=files, claims=sources, verdicts=verdicts)


def finding(metric: str, baseline: str | None) -> Finding:
    """A finding of which only the metric matters."""
    return Finding(
        claim="a-claim",
        reading="a-reading",
        strict=True,
        machine="zen4-2core",
        device="cpu",
        workload="seed-claim",
        dtype="float32",
        candidate="mojo",
        baseline=baseline,
        metric=metric,
        comparison="at_least",
        required=1.0,
        verdict=Verdict.CONFIRMED,
        reason="bound_met",
        explanation="",
        provenance="asserted",
    )
