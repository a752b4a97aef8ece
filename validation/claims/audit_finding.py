"""One finding of the audit: a rule applied to some of the published numbers."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from validation.claims.figures import Range, exactly
from validation.claims.published import Number
from validation.record import Record

_PREFIX: Final = 1000.0


class Check(StrEnum):
    """The rules, in the order they are listed."""

    SAME = "same"
    RATIO = "ratio"
    CHAIN = "chain"
    PRODUCT = "product"
    UNIT = "unit"
    WORK = "work"
    RATE_TIMES_WORK = "rate_times_work"
    RATE_TIMES_LATENCY = "rate_times_latency"
    ACROSS_SHAPES = "across_shapes"
    CEILING = "ceiling"
    PROVENANCE = "provenance"
    CIRCULAR = "circular"


class Outcome(StrEnum):
    """`notable` is neither a contradiction nor agreement, but something a reader should know."""

    CONTRADICTS = "contradicts"
    NOTABLE = "notable"
    AGREES = "agrees"


class AuditFinding(Record):
    """What a rule says of `numbers` (their ids): `expected` follows from the others, `stated` was published.

    Both are in the base unit `unit`; `factor` is how far they are apart, at least 1.
    """

    check: Check
    outcome: Outcome
    numbers: tuple[str, ...]
    stated: float
    expected: float
    unit: str
    factor: float
    sentence: str
    sources: tuple[str, ...]


def compared(check: Check, numbers: Sequence[Number], stated: Range, expected: Range, words: str) -> AuditFinding:
    """Returns whether what was stated agrees with what the others imply.

    Args:
        check: the rule.
        numbers: what it was applied to.
        stated: the published figure, rounding undone.
        expected: what the other numbers amount to.
        words: subject of the sentence up to its verdict: "7x (a over b), and ... is 44.67x".
    """
    agrees = stated.agrees(expected)
    factor = stated.factor(expected)
    prefix = _prefix_between(stated, expected)
    if agrees:
        end = "they agree"
    elif prefix is not None:
        end = f"they contradict each other by a factor {prefix:,.0f}, a wrong unit prefix"
    else:
        shown = f"{factor:,.0f}" if factor >= _PREFIX else f"{factor:.3g}"
        end = f"they contradict each other by a factor {shown}"
    return AuditFinding(
        check=check,
        outcome=Outcome.AGREES if agrees else Outcome.CONTRADICTS,
        numbers=tuple(number.id for number in numbers),
        stated=stated.middle,
        expected=expected.middle,
        unit=stated.unit,
        factor=factor,
        sentence=f"{words}: {end}.",
        sources=tuple(number.source for number in numbers),
    )


def _prefix_between(one: Range, other: Range) -> float | None:
    """The power of 1000 that would make the two agree, if one of the SI prefixes up to giga does."""
    for steps in (1, 2, 3):
        factor = exactly(_PREFIX**steps, one.unit)
        if one.times(factor, one.unit).agrees(other) or other.times(factor, one.unit).agrees(one):
            return _PREFIX**steps
    return None
