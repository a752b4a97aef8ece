"""The numbers a text published, as data: what the arithmetic audit works on."""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from validation.claims.claim import Identifier, Positive, Provenance, Text
from validation.record import Record

Count = Annotated[int, Field(ge=1)]


class Quantity(StrEnum):
    """What a number is a number of."""

    THROUGHPUT = "throughput"
    TIME = "time"
    WORK = "work"
    RATE = "rate"
    SPEEDUP = "speedup"


#: Unit as published -> its quantity and its size in tokens/s, seconds, FLOP, FLOP/s or times.
UNITS: Final[dict[str, tuple[Quantity, float]]] = {
    "tokens/s": (Quantity.THROUGHPUT, 1.0),
    "s": (Quantity.TIME, 1.0),
    "ms": (Quantity.TIME, 1e-3),
    "us": (Quantity.TIME, 1e-6),
    "FLOP": (Quantity.WORK, 1.0),
    "MFLOP": (Quantity.WORK, 1e6),
    "GFLOP": (Quantity.WORK, 1e9),
    "TFLOP": (Quantity.WORK, 1e12),
    "FLOP/s": (Quantity.RATE, 1.0),
    "GFLOP/s": (Quantity.RATE, 1e9),
    "TFLOP/s": (Quantity.RATE, 1e12),
    "x": (Quantity.SPEEDUP, 1.0),
}

Unit = Literal["tokens/s", "s", "ms", "us", "FLOP", "MFLOP", "GFLOP", "TFLOP", "FLOP/s", "GFLOP/s", "TFLOP/s", "x"]


class Shape(Record):
    """Dimensions of a layer and the tokens of one call, so that the audit needs nothing but the claims file."""

    id: Identifier
    tokens: Count
    d_model: Count
    d_ff: Count
    n_experts: Count
    top_k: Count
    gated: bool = False

    @property
    def flop_per_token(self) -> int:
        """FLOP of the expert matmuls one token passes: top_k experts, 2 matrices (3 when gated), 2 FLOP per weight."""
        return self.top_k * (3 if self.gated else 2) * 2 * self.d_model * self.d_ff

    @property
    def flops(self) -> int:
        """FLOP of one call."""
        return self.tokens * self.flop_per_token


class Number(Record):
    """One published number: `value` (to `up_to`) `unit` of `of`, at `shape`, for a speedup over `than`.

    Numbers of equal `of`, `than` and `shape` speak of the same thing. `statistic` is what a time is of its samples.
    `presented_as` is what the text says of the number's origin, `provenance` what its scripts show, `ran` what they in
    fact ran where that is not `of`; `derived_from` names the numbers it was computed from.
    """

    id: Identifier
    value: Positive
    up_to: Positive | None = None
    unit: Unit
    of: Identifier
    than: Identifier | None = None
    shape: Identifier | None = None
    statistic: Literal["mean", "p50", "p95", "p99"] = "mean"
    concurrency: Count = 1
    source: Text
    provenance: Provenance = Provenance.UNKNOWN
    presented_as: Provenance | None = None
    ran: Identifier | None = None
    derived_from: tuple[Identifier, ...] = ()

    @model_validator(mode="after")
    def _speedup_is_over_something(self) -> Self:
        if (self.quantity is Quantity.SPEEDUP) != (self.than is not None):
            msg = "than: a number of unit 'x' says over what, and no other does"
            raise ValueError(msg)
        if self.up_to is not None and self.up_to < self.value:
            msg = f"up_to: closes the range that value {self.value:g} opens, so it must not be below it"
            raise ValueError(msg)
        return self

    @property
    def quantity(self) -> Quantity:
        """What it is a number of, by its unit."""
        return UNITS[self.unit][0]

    @property
    def low(self) -> float:
        """The value in base units: tokens/s, seconds, FLOP, FLOP/s, times."""
        return self.value * UNITS[self.unit][1]

    @property
    def high(self) -> float:
        """The upper end of a range in base units; the value itself without one."""
        return (self.up_to or self.value) * UNITS[self.unit][1]


class Product(Record):
    """Factors that are said to make up a total."""

    id: Identifier
    parts: Annotated[tuple[Identifier, ...], Field(min_length=2)]
    total: Identifier
    source: Text
