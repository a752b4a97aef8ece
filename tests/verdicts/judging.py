"""Judging synthetic evidence in one line."""

import hashlib
from dataclasses import dataclass
from typing import Any

from tests import synthetic
from validation.claims.claim import Claim, Provenance, Reading
from validation.evidence.record import Evidence
from validation.evidence.store import dump
from validation.verdicts.judge import judge
from validation.verdicts.verdict import Finding, Verdicts

#: Candidate 10 ms, floor 9.16 ms, weak baseline 70 ms, strong baseline 12 ms.
TIMES: synthetic.Times = {
    "seed-claim": {
        synthetic.CANDIDATE: 10_000.0,
        "numpy_per_token": 70_000.0,
        "numpy_grouped": 14_000.0,
        "torch_onednn_prepacked": 12_000.0,
    }
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that was read."""

    sha256: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An evidence file that was read."""

    evidence: Evidence

    @property
    def sha256(self) -> str:
        """Digest of its bytes."""
        return hashlib.sha256(dump(self.evidence)).hexdigest()


def reading(at_least: float = 1.2, **changed: Any) -> Reading:
    """A strict reading about the candidate over NumPy grouped."""
    given: dict[str, Any] = {
        "id": "r",
        "strict": True,
        "meaning": "same CPU",
        "metric": "speedup",
        "requirement": {"at_least": at_least},
        "workload": "seed-claim",
        "device": "cpu",
        "baseline": "strongest:numpy",
    }
    return Reading.model_validate(given | changed)


def claim(*readings: Reading, promise: bool = False, target: bool = False) -> Claim:
    """A claim of those readings."""
    return Claim(
        id="c",
        title="Fast",
        quote="fast",
        source="README.md:1",
        provenance=Provenance.MEASURED,
        provenance_reason="a script",
        promise=promise,
        target=target,
        readings=readings or (reading(),),
    )


def judged(claims: Claim, *evidences: Evidence) -> Verdicts:
    """The verdicts on some evidence."""
    source = Source(sha256="0" * 64, claims=(claims,))
    return judge([source], [Recorded(evidence=one) for one in evidences], synthetic.SUITE)


def finding(one: Reading, evidence: Evidence | None = None, *, promise: bool = False, target: bool = False) -> Finding:
    """The finding of one reading on one machine."""
    (found,) = judged(
        claim(one, promise=promise, target=target), evidence or synthetic.evidence(times_us=TIMES)
    ).findings
    return found


def with_times(candidate_us: float, baseline_us: float = 14_000.0, **more: Any) -> Evidence:
    """Evidence of the candidate and NumPy grouped alone."""
    times = {"seed-claim": {synthetic.CANDIDATE: candidate_us, "numpy_grouped": baseline_us}}
    return synthetic.evidence(times_us=times, **more)
