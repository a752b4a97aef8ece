"""Material to report on: synthetic evidence, the published claims, and verdicts of the test's choosing."""

from pathlib import Path

import validation.claims.load as loading
from tests.synthetic import CANDIDATE, CPU_TIMES_US, SUITE, evidence
from validation.claims.claim import Arrivals, Load
from validation.claims.load import parse_claims
from validation.evidence.record import Evidence
from validation.evidence.store import dump, sha256
from validation.performance.figure import Figure
from validation.performance.load import LoadRun
from validation.performance.sample import PROBE_SLOW
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


def with_everything() -> Evidence:
    """The study's evidence with two variants of the kernel, a figure and requests under two loads."""
    rows = CPU_TIMES_US["seed-claim"]
    variants = {"mojo_scalar": rows[CANDIDATE] * 6, "mojo_alloc_per_call": rows[CANDIDATE] * 0.98}
    made = evidence(times_us={**CPU_TIMES_US, "seed-claim": {**rows, **variants}})
    described = {"mojo_scalar": "the Mojo kernel, without vectors", "mojo_alloc_per_call": "the Mojo kernel, unpooled"}
    loads = (Load(), Load(arrivals=Arrivals.OPEN, per_s=60.0))
    assert made.probe is not None
    return made.model_copy(
        update={
            "implementations": tuple(
                one.model_copy(update={"description": described.get(one.name, one.description)})
                for one in made.implementations
            ),
            "figures": (Figure(name="demo-s", workload="demo", samples=(101.0, 99.0, 104.0), method="wall clock"),),
            "loads": tuple(
                LoadRun(
                    implementation=CANDIDATE,
                    workload="seed-claim",
                    dtype="float32",
                    device="cpu",
                    load=load,
                    round=turn,
                    probe_before=made.probe.usual_flop_per_s,
                    probe_after=made.probe.usual_flop_per_s * (0.5 if turn == 2 else 1.0),
                    accepted=turn != 2,
                    reason=PROBE_SLOW if turn == 2 else "",
                    parent_ns=10**9,
                    latencies_ns=tuple(10_000_000 + 40_000 * (index * (7 + turn) % 97) for index in range(100)),
                )
                for load in loads
                for turn in range(3)
            ),
        }
    )


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
