"""Findings and the verdicts document."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from validation.evidence.record import Suite
from validation.record import Record

#: 1: first version.
SCHEMA_VERSION: Final = 1


class Verdict(StrEnum):
    """What the evidence says of one reading (docs/METHOD.md, in the order they are tried)."""

    IMPOSSIBLE = "impossible"
    NOT_TESTED = "not_tested"
    HARNESS_FAULT = "harness_fault"
    INVALID = "invalid"
    INCONCLUSIVE = "inconclusive"
    CONFIRMED = "confirmed"
    CONFIRMED_WEAK_BASELINE = "confirmed_weak_baseline"
    REFUTED = "refuted"


class Finding(Record):
    """One reading judged on one machine.

    `required`, `estimate`, `interval` and `limit` are in the metric's unit; `limit` is the most the machine's
    ceilings allow (the least, for a latency). `confidence` is the level of the interval, after Bonferroni.
    `samples_sha256` is over the samples the estimate was computed from, `evidence_sha256` names their file.
    """

    claim: str
    reading: str
    strict: bool
    machine: str
    device: str
    workload: str
    dtype: str
    candidate: str
    baseline: str | None
    metric: str
    comparison: Literal["at_least", "at_most"]
    required: float
    up_to: float | None = None
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    pairs: Annotated[int, Field(ge=0)] = 0
    limit: float | None = None
    floor_us: float | None = None
    verdict: Verdict
    reason: str
    explanation: str
    provenance: str
    promise: bool = False
    target: bool = False
    confidence: float | None = None
    samples_sha256: str | None = None
    evidence_sha256: str = ""


class ClaimVerdict(Record):
    """A claim's headline: the verdict of its strict reading, the least favourable where machines differ."""

    id: str
    title: str
    quote: str
    source: str
    verdict: Verdict
    promise: bool = False
    target: bool = False


class EvidenceReference(Record):
    """The evidence a verdict was derived from."""

    sha256: str
    machine: str
    recorded_at: str


class Verdicts(Record):
    """verdicts.json: a pure function of evidence, claims and rules."""

    schema_version: Literal[1] = SCHEMA_VERSION
    rules_version: int
    suite: Suite
    evidence: tuple[EvidenceReference, ...]
    claims_sha256: tuple[str, ...]
    claims: tuple[ClaimVerdict, ...]
    findings: tuple[Finding, ...]
