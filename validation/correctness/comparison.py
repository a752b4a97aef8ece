"""How an output compares with what is expected, and what it may fail by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Criterion(StrEnum):
    """What an output can fail by, in the order they are tried."""

    SHAPE = "shape"
    ROUTING = "routing"
    WEIGHTS = "weights"
    FINITE = "finite"
    BITWISE = "bitwise"
    ELEMENTWISE = "elementwise"
    PER_TOKEN = "per_token"  # noqa: S105 -- a row of the batch
    EFFECTIVE_BITS = "effective_bits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How an output compares with what is expected.

    `worst` is the largest error/bound (1 is the limit; None when the output is not finite where it ought to be),
    `effective_bits` is -log2(rms error / rms reference), None when there is no error or nothing to compare.
    `near_ties` counts tokens with more than one legal routing, `unresolved` those excused because there were too many.
    `mistrusted` says why a pass proves nothing; it is empty otherwise. `message` names the first thing wrong.
    """

    passed: bool
    failed: tuple[Criterion, ...] = ()
    worst: float | None = 0.0
    effective_bits: float | None = None
    near_ties: int = 0
    unresolved: int = 0
    mistrusted: str = ""
    message: str = ""


def failure(criterion: Criterion, message: str) -> Comparison:
    """Returns a comparison that failed by one criterion before any value was compared."""
    return Comparison(passed=False, failed=(criterion,), worst=None, message=f"{criterion}: {message}")
