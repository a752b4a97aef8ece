"""A published sentence, and the precise meanings it can have."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from validation.record import Record

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Positive = Annotated[float, Field(gt=0)]


class Provenance(StrEnum):
    """How the published number came to be."""

    MEASURED = "measured"
    SIMULATED = "simulated"
    DERIVED = "derived"
    ASSERTED = "asserted"
    UNKNOWN = "unknown"


class Metric(StrEnum):
    """What a reading compares; the unit is in the name."""

    SPEEDUP = "speedup"
    TOKENS_PER_S = "tokens_per_s"
    GFLOP_PER_S = "gflop_per_s"
    LATENCY_US = "latency_us"
    P95_LATENCY_US = "p95_latency_us"
    FLOOR_SHARE = "floor_share"


#: Metrics where less is better: their requirement is an `at_most`.
LESS_IS_BETTER = frozenset({Metric.LATENCY_US, Metric.P95_LATENCY_US})


class Requirement(Record):
    """The published number as a testable bound; `at_least` with `up_to` states a range [L, U] and tests L."""

    at_least: Positive | None = None
    at_most: Positive | None = None
    up_to: Positive | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            msg = "a requirement states exactly one of at_least and at_most"
            raise ValueError(msg)
        if self.up_to is not None and (self.at_least is None or self.up_to < self.at_least):
            msg = "up_to closes a range that at_least opens, so it needs at_least and must not be below it"
            raise ValueError(msg)
        return self

    @property
    def bound(self) -> float:
        """The number that is tested."""
        bound = self.at_least if self.at_least is not None else self.at_most
        assert bound is not None
        return bound


class Reading(Record):
    """One precise meaning of a claim: what is measured, on what, against what, where.

    `baseline` is the name of an implementation, or `strongest` / `strongest:FAMILY`, which is computed from what was
    measured and never chosen. `untestable` says why no run of this suite can decide the reading.
    """

    id: Identifier
    strict: bool = False
    meaning: str
    metric: Metric
    requirement: Requirement
    workload: str
    device: Literal["cpu", "cuda"]
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    candidate: str = "candidate"
    baseline: str | None = None
    baseline_device: Literal["cpu", "cuda"] | None = None
    untestable: str | None = None

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        if self.metric is Metric.SPEEDUP and self.baseline is None:
            msg = "a speedup is against something: name a baseline, or 'strongest'"
            raise ValueError(msg)
        if self.metric is not Metric.SPEEDUP and self.baseline is not None:
            msg = f"only a speedup has a baseline; {self.metric} does not"
            raise ValueError(msg)
        if (self.metric in LESS_IS_BETTER) != (self.requirement.at_most is not None):
            msg = f"{self.metric} takes {'at_most' if self.metric in LESS_IS_BETTER else 'at_least'}"
            raise ValueError(msg)
        return self


class Claim(Record):
    """What was said, verbatim, where, and how the number came to be."""

    id: Identifier
    title: str
    quote: str
    source: str
    provenance: Provenance
    provenance_reason: str
    promise: bool = False
    readings: Annotated[tuple[Reading, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_strict_reading(self) -> Self:
        ids = [reading.id for reading in self.readings]
        if len(set(ids)) != len(ids):
            msg = f"reading ids must differ within a claim; got {ids}"
            raise ValueError(msg)
        strict = [reading.id for reading in self.readings if reading.strict]
        if len(strict) != 1:
            msg = f"exactly one reading is strict, the fair one that gives the headline; got {strict or 'none'}"
            raise ValueError(msg)
        return self
