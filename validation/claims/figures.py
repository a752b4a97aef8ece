"""Published figures as ranges to calculate with, and as words to quote."""

import math
from dataclasses import dataclass
from typing import Final

from validation.claims.published import Number, Quantity

#: Slack beyond the published digits: figures on the way may have been rounded too.
TOLERANCE: Final = 0.01

BASE_UNITS: Final = {
    Quantity.THROUGHPUT: "tokens/s",
    Quantity.TIME: "s",
    Quantity.WORK: "FLOP",
    Quantity.RATE: "FLOP/s",
    Quantity.SPEEDUP: "x",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A quantity between two positive values of a base unit.

    `wide` when it was published as a range, or computed from one; else the ends are those of a rounded figure.
    """

    low: float
    high: float
    unit: str
    wide: bool = False

    def times(self, other: "Range", unit: str) -> "Range":
        """The product, in `unit`."""
        return Range(low=self.low * other.low, high=self.high * other.high, unit=unit, wide=self.wide or other.wide)

    def over(self, other: "Range", unit: str) -> "Range":
        """The quotient, in `unit`."""
        return Range(low=self.low / other.high, high=self.high / other.low, unit=unit, wide=self.wide or other.wide)

    @property
    def middle(self) -> float:
        """Its geometric middle."""
        return math.sqrt(self.low * self.high)

    def agrees(self, other: "Range") -> bool:
        """Whether the two overlap, with 1 % to spare."""
        slack = 1 + TOLERANCE
        return self.low <= other.high * slack and other.low <= self.high * slack

    def factor(self, other: "Range") -> float:
        """How far apart the two are, at least 1: at their middles, or where one is wide at their nearest ends."""
        if self.wide or other.wide:
            return max(1.0, self.low / other.high, other.low / self.high)
        return max(self.middle, other.middle) / min(self.middle, other.middle)

    def __str__(self) -> str:
        """`44.67x`, `36x to 180x`, `2.155 GFLOP/s`."""
        if self.wide:
            return f"{amount(self.low, self.unit)} to {amount(self.high, self.unit)}"
        return amount(self.middle, self.unit)


def exactly(value: float, unit: str) -> Range:
    """The range of a value that is known and not published."""
    return Range(low=value, high=value, unit=unit)


def stated(number: Number) -> Range:
    """The values as they were written, without any rounding undone."""
    return Range(low=number.low, high=number.high, unit=BASE_UNITS[number.quantity], wide=number.up_to is not None)


def as_published(number: Number) -> Range:
    """The values that would have been published as this number: half a unit of its last digit either way.

    A whole number is taken as rounded to its last digit: 7 stands for anything from 6.5 to 7.5.
    """
    scale = number.low / number.value
    half = 10.0 ** -_decimals(number.value) * scale / 2
    written = stated(number)
    # A value below half its last digit's unit does not exist, so the lower end stays positive.
    return Range(
        low=max(written.low - half, written.low / 2), high=written.high + half, unit=written.unit, wide=written.wide
    )


def digits(number: Number) -> int:
    """How many significant digits it was published with."""
    return len(f"{number.value:.15g}".replace(".", "").lstrip("0"))


def quoted(number: Number) -> str:
    """As published: `7x`, `15-60x`, `2,155 GFLOP/s`."""
    ends = f"{number.value:,.12g}" + (f"-{number.up_to:,.12g}" if number.up_to else "")
    return f"{ends}x" if number.unit == "x" else f"{ends} {number.unit}"


def said(number: Number) -> str:
    """As published and of what: `382.87x (mojo over numpy)`, `47 ms (mojo, P95)`."""
    whom = f"{number.of} over {number.than}" if number.than else number.of
    kind = "" if number.statistic == "mean" else f", {number.statistic.upper()}"
    return f"{quoted(number)} ({whom}{kind})"


def amount(value: float, unit: str) -> str:
    """A value in words, four significant digits or all digits before the point."""
    if unit in {"FLOP", "FLOP/s"}:
        for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
            if value >= size:
                return f"{value / size:.4g} {prefix}{unit}"
        return f"{value:,.4g} {unit}"
    if unit == "x":
        return f"{value:,.4g}x"
    return f"{value:,.0f} {unit}" if value >= 1e4 else f"{value:.4g} {unit}"  # noqa: PLR2004  # no exponents


def _decimals(value: float) -> int:
    return len(f"{value:.15g}".partition(".")[2])
