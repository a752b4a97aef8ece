"""A published sentence, and the precise meanings it can have."""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from validation.record import Record

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Positive = Annotated[float, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]
Dtype = Literal["float32", "bfloat16", "float16"]


class Provenance(StrEnum):
    """How the published number came to be."""

    MEASURED = "measured"
    SIMULATED = "simulated"
    DERIVED = "derived"
    ASSERTED = "asserted"
    UNKNOWN = "unknown"


class Metric(StrEnum):
    """What a reading compares; the unit is in the name.

    `floor_share` is of the least time that the measured ceilings allow. `bandwidth_share` is what a call must move over
    its time, as a share of what memory was measured to deliver; it passes 1 where a cache delivers part of it.

    `figure` is a quantity that a run measures beside the calls (prepare cost, call overhead, energy, the time
    of a command) and that the reading names. `holds` is a statement without a number: 1 when it holds.
    """

    SPEEDUP = "speedup"
    TOKENS_PER_S = "tokens_per_s"
    GFLOP_PER_S = "gflop_per_s"
    LATENCY_US = "latency_us"
    P50_LATENCY_US = "p50_latency_us"
    P95_LATENCY_US = "p95_latency_us"
    P99_LATENCY_US = "p99_latency_us"
    FLOOR_SHARE = "floor_share"
    BANDWIDTH_SHARE = "bandwidth_share"
    FIGURE = "figure"
    HOLDS = "holds"


#: Metrics where less is better: their requirement is an `at_most`. A figure says by its requirement which way it goes.
LESS_IS_BETTER: Final = frozenset(
    {Metric.LATENCY_US, Metric.P50_LATENCY_US, Metric.P95_LATENCY_US, Metric.P99_LATENCY_US}
)

#: The quantile each latency metric is about.
QUANTILES: Final = {Metric.P50_LATENCY_US: 0.50, Metric.P95_LATENCY_US: 0.95, Metric.P99_LATENCY_US: 0.99}


class Arrivals(StrEnum):
    """How requests come: a closed loop sends the next when one returns, an open loop when the clock says so."""

    CLOSED = "closed"
    OPEN = "open"


class Load(Record):
    """The traffic a latency is claimed under; `per_s` is the mean rate of Poisson arrivals of an open loop."""

    arrivals: Arrivals = Arrivals.CLOSED
    concurrency: Annotated[int, Field(ge=1)] = 1
    per_s: Positive | None = None

    @model_validator(mode="after")
    def _rate_belongs_to_open(self) -> Self:
        if (self.per_s is not None) != (self.arrivals is Arrivals.OPEN):
            msg = "an open loop states its arrival rate per_s, a closed loop has none"
            raise ValueError(msg)
        return self


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
    measured and never chosen; it runs on the candidate's device and in its dtype unless `baseline_device` and
    `baseline_dtype` say otherwise. `untestable` says why no run of this suite can decide the reading.
    """

    id: Identifier
    strict: bool = False
    meaning: Text
    metric: Metric
    requirement: Requirement
    workload: str
    device: Literal["cpu", "cuda"]
    dtype: Dtype = "float32"
    candidate: str = "candidate"
    baseline: Annotated[str, Field(min_length=1)] | None = None
    baseline_device: Literal["cpu", "cuda"] | None = None
    baseline_dtype: Dtype | None = None
    figure: Identifier | None = None
    load: Load | None = None
    untestable: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _against_something(self) -> Self:
        if self.metric is Metric.SPEEDUP and self.baseline is None:
            msg = "baseline: a speedup is against something; name an implementation, 'strongest' or 'strongest:FAMILY'"
            raise ValueError(msg)
        if self.metric not in {Metric.SPEEDUP, Metric.FIGURE} and self.baseline is not None:
            msg = f"baseline: only a speedup or a figure has one; {self.metric} does not"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _bound_of_the_right_side(self) -> Self:
        free = self.metric is Metric.FIGURE
        if not free and (self.metric in LESS_IS_BETTER) != (self.requirement.at_most is not None):
            msg = f"requirement: {self.metric} takes {'at_most' if self.metric in LESS_IS_BETTER else 'at_least'}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _belongs_to_the_metric(self) -> Self:
        if (self.metric is Metric.FIGURE) != (self.figure is not None):
            msg = "figure: names the quantity of the metric 'figure', and of no other"
            raise ValueError(msg)
        if self.load is not None and self.metric not in QUANTILES:
            msg = f"load: only a latency quantile is claimed under a load; {self.metric} is not"
            raise ValueError(msg)
        if self.metric is Metric.HOLDS and self.untestable is None:
            msg = "untestable: a statement without a number is decided by no measurement; say why, or state a number"
            raise ValueError(msg)
        return self


class Claim(Record):
    """What was said, verbatim, where, and how the number came to be.

    `source` is where the quote stands as `file:line`, further places after a comma. A `promise` is one of the author's
    own thresholds: not meeting it is a failure, not a finding about somebody else. A `target` is what the author aims
    at: judged as strictly, and told, but not meeting it is no failure.
    """

    id: Identifier
    title: Text
    quote: Text
    source: Text
    provenance: Provenance
    provenance_reason: Text
    promise: bool = False
    target: bool = False
    readings: Annotated[tuple[Reading, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _promised_or_aimed_at(self) -> Self:
        if self.promise and self.target:
            msg = "target: a claim is a promise or a target, not both; leave one of them out"
            raise ValueError(msg)
        return self

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
