"""The arithmetic audit: do the published numbers agree with each other, with their units, and with any machine?

Every finding follows from a general rule over the numbers of a claims file; none is written for a particular text. Two
figures agree when their ranges overlap once each is widened by half a unit of its last published digit, and by 1 % for
whatever was rounded on the way. It needs no kernel and no hardware, and takes milliseconds.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, permutations
from typing import Final, Protocol

from validation.claims.claim import Provenance
from validation.claims.machines import MACHINES, Machine
from validation.claims.published import Number, Product, Quantity, Shape
from validation.record import Record

#: Slack beyond the published digits: intermediate figures may have been rounded too.
TOLERANCE: Final = 0.01
#: Two figures apart by a power of 1000, give or take this, are apart by a prefix.
_PREFIX: Final = 1000.0


class Check(StrEnum):
    """The rules."""

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
    """What a rule found; `notable` is neither a contradiction nor proof of agreement, but a reader should know it."""

    AGREES = "agrees"
    CONTRADICTS = "contradicts"
    NOTABLE = "notable"


class AuditFinding(Record):
    """One rule applied to some of the numbers: `expected` follows from the others, `stated` is what was published."""

    check: Check
    outcome: Outcome
    numbers: tuple[str, ...]
    stated: float
    expected: float
    unit: str
    factor: float
    sentence: str
    sources: tuple[str, ...]


class Published(Protocol):
    """What the audit works on: a claims file is one."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Dimensions the numbers refer to."""

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The numbers."""

    @property
    def products(self) -> tuple[Product, ...]:
        """What is said to make up what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A quantity between two values, in base units."""

    low: float
    high: float

    def __truediv__(self, other: "Range") -> "Range":
        """The range of the quotient."""
        return Range(low=self.low / other.high, high=self.high / other.low)

    def __mul__(self, other: "Range") -> "Range":
        """The range of the product."""
        return Range(low=self.low * other.low, high=self.high * other.high)

    @property
    def middle(self) -> float:
        """Its geometric middle."""
        return math.sqrt(self.low * self.high)

    def agrees(self, other: "Range") -> bool:
        """Whether they overlap, with 1 % to spare."""
        slack = 1 + TOLERANCE
        return self.low <= other.high * slack and other.low <= self.high * slack


def audit(published: Published, machines: Sequence[Machine] = MACHINES) -> tuple[AuditFinding, ...]:
    """Returns what the rules find in the numbers, contradictions first.

    Args:
        published: a claims file.
        machines: what published rates are set against.
    """
    shapes = {shape.id: shape for shape in published.shapes}
    numbers = {number.id: number for number in published.numbers}
    found = [
        *_same(published.numbers),
        *_ratios(published.numbers),
        *_chains(published.numbers),
        *_products(published.products, numbers),
        *_units(published.numbers),
        *_work(published.numbers, shapes),
        *_rate_times_work(published.numbers, shapes),
        *_rate_times_latency(published.numbers, shapes),
        *_across_shapes(published.numbers, shapes),
        *_ceilings(published.numbers, shapes, machines),
        *_provenance(published.numbers),
        *_circular(published.numbers, numbers),
    ]
    rank = {Outcome.CONTRADICTS: 0, Outcome.NOTABLE: 1, Outcome.AGREES: 2}
    return tuple(sorted(found, key=lambda one: (rank[one.outcome], list(Check).index(one.check), one.numbers)))


def as_published(number: Number) -> Range:
    """Returns the values that would have been published as this number: half a unit of the last digit either way."""
    text = f"{number.value:.15g}"
    digit = 10.0 ** -len(text.partition(".")[2]) if "." in text else 1.0
    scale = number.low / number.value
    # A whole number may be exact or rounded to its last digit; 7 is taken as anything from 6.5 to 7.5.
    return Range(low=number.low - digit * scale / 2, high=number.high + digit * scale / 2)


def _same(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """Numbers that speak of the same thing must be the same number."""
    for one, other in combinations(numbers, 2):
        speaks = (one.quantity, one.of, one.than, one.statistic, one.concurrency)
        if speaks != (other.quantity, other.of, other.than, other.statistic, other.concurrency):
            continue
        if None not in {one.shape, other.shape} and one.shape != other.shape:
            continue
        thing = f"{one.of} over {one.than}" if one.than else f"{one.quantity} of {one.of}"
        yield _compared(
            Check.SAME,
            (one, other),
            stated=as_published(other),
            expected=as_published(one),
            tail=f"both said of {thing}" + (": they cannot both name the same baseline" if one.than else ""),
        )


def _ratios(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """A speedup is the ratio of two throughputs, or of two times, at one shape."""
    for speedup in _of(numbers, Quantity.SPEEDUP):
        for quantity in (Quantity.THROUGHPUT, Quantity.TIME, Quantity.RATE):
            for fast in _of(numbers, quantity):
                for slow in _of(numbers, quantity):
                    if (fast.of, slow.of) != (speedup.of, speedup.than) or not _one_shape(speedup, fast, slow):
                        continue
                    if (fast.statistic, fast.concurrency) != (slow.statistic, slow.concurrency):
                        continue
                    above, below = (slow, fast) if quantity is Quantity.TIME else (fast, slow)
                    yield _compared(
                        Check.RATIO,
                        (speedup, above, below),
                        stated=as_published(speedup),
                        expected=as_published(above) / as_published(below),
                        tail=f"the ratio of {_say(above)} to {_say(below)}",
                    )


def _chains(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """A over b times b over c is a over c."""
    speedups = list(_of(numbers, Quantity.SPEEDUP))
    for first, second, whole in permutations(speedups, 3):
        linked = first.than == second.of and whole.of == first.of and whole.than == second.than
        if linked and first.of != second.than and _one_shape(first, second, whole):
            yield _compared(
                Check.CHAIN,
                (whole, first, second),
                stated=as_published(whole),
                expected=as_published(first) * as_published(second),
                tail=f"{_say(first)} times {_say(second)}",
            )


def _products(products: Sequence[Product], numbers: dict[str, Number]) -> Iterator[AuditFinding]:
    """Factors that are said to make up a total must multiply to it."""
    for product in products:
        parts = [numbers[name] for name in product.parts]
        expected = Range(low=1.0, high=1.0)
        for part in parts:
            # The factors of a product are taken as published, without rounding: three of them rounded at will explain
            # nearly any total.
            expected *= Range(low=part.low, high=part.high)
        total = numbers[product.total]
        yield _compared(
            Check.PRODUCT,
            (total, *parts),
            stated=as_published(total),
            expected=expected,
            tail=" x ".join(_value(part) for part in parts),
        )


def _units(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """A rate is a work over a time."""
    for rate in _of(numbers, Quantity.RATE):
        for work in _of(numbers, Quantity.WORK):
            for time in _of(numbers, Quantity.TIME):
                if {work.of, time.of} == {rate.of} and _one_shape(rate, work, time) and time.statistic == "mean":
                    yield _compared(
                        Check.UNIT,
                        (rate, work, time),
                        stated=as_published(rate),
                        expected=as_published(work) / as_published(time),
                        tail=f"{_say(work)} in {_say(time)}",
                    )


def _work(numbers: Sequence[Number], shapes: dict[str, Shape]) -> Iterator[AuditFinding]:
    """The work of a call follows from its shape."""
    for work in _of(numbers, Quantity.WORK):
        if work.shape is not None:
            flops = float(shapes[work.shape].flops)
            yield _compared(
                Check.WORK,
                (work,),
                stated=as_published(work),
                expected=Range(low=flops, high=flops),
                tail=f"the expert matmuls of shape {work.shape}",
            )


def _rate_times_work(numbers: Sequence[Number], shapes: dict[str, Shape]) -> Iterator[AuditFinding]:
    """Tokens/s times FLOP per token is a FLOP/s."""
    for rate in _of(numbers, Quantity.RATE):
        for throughput in _of(numbers, Quantity.THROUGHPUT):
            if rate.of == throughput.of and rate.shape is not None and rate.shape == throughput.shape:
                yield _compared(
                    Check.RATE_TIMES_WORK,
                    (rate, throughput),
                    stated=as_published(rate),
                    expected=_demand(throughput, shapes[rate.shape]),
                    tail=f"{_say(throughput)} at {_flop(shapes[rate.shape].flop_per_token)} per token",
                )


def _rate_times_latency(numbers: Sequence[Number], shapes: dict[str, Shape]) -> Iterator[AuditFinding]:
    """In a closed loop, tokens/s times the mean latency is the tokens in flight (Little's law)."""
    for throughput in _of(numbers, Quantity.THROUGHPUT):
        for time in _of(numbers, Quantity.TIME):
            if throughput.of != time.of or time.shape is None or time.shape != throughput.shape:
                continue
            if time.concurrency != throughput.concurrency:
                continue
            tokens = float(shapes[time.shape].tokens * time.concurrency)
            implied = as_published(throughput) * as_published(time)
            if time.statistic == "mean":
                yield _compared(
                    Check.RATE_TIMES_LATENCY,
                    (throughput, time),
                    stated=Range(low=tokens, high=tokens),
                    expected=implied,
                    tail=f"{_say(throughput)} times {_say(time)}, against the tokens in flight",
                    unit="tokens",
                )
            elif time.statistic in {"p95", "p99"} and implied.high * (1 + TOLERANCE) < tokens:
                # A high quantile below the mean: possible of no distribution anybody serves from.
                yield _compared(
                    Check.RATE_TIMES_LATENCY,
                    (throughput, time),
                    stated=Range(low=tokens, high=tokens),
                    expected=implied,
                    tail=f"{_say(throughput)} times {_say(time)}: a quantile below the mean",
                    unit="tokens",
                )


def _across_shapes(numbers: Sequence[Number], shapes: dict[str, Shape]) -> Iterator[AuditFinding]:
    """Rates of one thing at two shapes: tokens/s may differ, what they demand in FLOP/s should not differ much."""
    rated = [
        (
            number,
            _demand(number, shapes[number.shape]) if number.quantity is Quantity.THROUGHPUT else as_published(number),
        )
        for number in numbers
        if number.quantity in {Quantity.THROUGHPUT, Quantity.RATE} and number.shape is not None
    ]
    for (one, first), (other, second) in combinations(rated, 2):
        if one.of != other.of or one.shape == other.shape:
            continue
        apart = _factor(first.middle, second.middle)
        tokens = ""
        if one.quantity is other.quantity is Quantity.THROUGHPUT:
            tokens = f"a factor {_factor(one.low, other.low):.3g} apart in tokens/s at different shapes, and "
        yield AuditFinding(
            check=Check.ACROSS_SHAPES,
            outcome=Outcome.NOTABLE,
            numbers=(one.id, other.id),
            stated=second.middle,
            expected=first.middle,
            unit="FLOP/s",
            factor=apart,
            sentence=(
                f"{_say(one)} ({one.shape}) and {_say(other)} ({other.shape}), both of {one.of}, are {tokens}"
                f"a factor {apart:.3g} apart in FLOP/s: {_flop(first.middle)}/s and {_flop(second.middle)}/s."
            ),
            sources=(one.source, other.source),
        )


def _ceilings(
    numbers: Sequence[Number], shapes: dict[str, Shape], machines: Sequence[Machine]
) -> Iterator[AuditFinding]:
    """A published rate is possible on machines whose peak is no less."""
    for number in numbers:
        if number.quantity is Quantity.RATE:
            demand, how = as_published(number), _say(number)
        elif number.quantity is Quantity.THROUGHPUT and number.shape is not None:
            shape = shapes[number.shape]
            demand = _demand(number, shape)
            how = f"{_say(number)} at {_flop(shape.flop_per_token)} per token"
        else:
            continue
        beyond = [machine for machine in machines if machine.flop_per_s < demand.low]
        if not beyond:
            continue
        largest = max(beyond, key=lambda machine: machine.flop_per_s)
        every = len(beyond) == len(machines)
        yield AuditFinding(
            check=Check.CEILING,
            outcome=Outcome.CONTRADICTS if every else Outcome.NOTABLE,
            numbers=(number.id,),
            stated=demand.middle,
            expected=largest.flop_per_s,
            unit="FLOP/s",
            factor=_factor(demand.middle, largest.flop_per_s),
            sentence=(
                f"{how} is {_flop(demand.middle)}/s, more than {largest.name} can do ({_flop(largest.flop_per_s)}/s)"
                f"{': no machine known here can' if every else ''}."
            ),
            sources=(number.source, largest.source),
        )


def _provenance(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """What is presented as measured must have been measured."""
    for number in numbers:
        if number.presented_as is None or Provenance.UNKNOWN in {number.provenance, number.presented_as}:
            continue
        # A ratio of measured numbers is derived, and honestly called measured; _circular follows what it came from.
        kept = number.presented_as is number.provenance or number.provenance is Provenance.DERIVED
        yield AuditFinding(
            check=Check.PROVENANCE,
            outcome=Outcome.AGREES if kept else Outcome.CONTRADICTS,
            numbers=(number.id,),
            stated=number.low,
            expected=number.low,
            unit=_base(number),
            factor=1.0,
            sentence=f"{_say(number)} is presented as {number.presented_as}, and its scripts show it was {number.provenance}.",
            sources=(number.source,),
        )


def _circular(all_numbers: Sequence[Number], numbers: dict[str, Number]) -> Iterator[AuditFinding]:
    """A number computed from one that nobody measured says nothing that was not put in."""
    for number in all_numbers:
        roots = sorted(
            origin.id
            for origin in _ancestors(number, numbers)
            if origin.provenance in {Provenance.SIMULATED, Provenance.ASSERTED}
        )
        if roots:
            yield AuditFinding(
                check=Check.CIRCULAR,
                outcome=Outcome.CONTRADICTS if number.presented_as is Provenance.MEASURED else Outcome.NOTABLE,
                numbers=(number.id, *roots),
                stated=number.low,
                expected=number.low,
                unit=_base(number),
                factor=1.0,
                sentence=(
                    f"{_say(number)} was computed from what nobody measured: "
                    f"{', '.join(f'{root} ({_value(numbers[root])}, {numbers[root].provenance})' for root in roots)}."
                ),
                sources=(number.source, *(numbers[root].source for root in roots)),
            )


def _ancestors(number: Number, numbers: dict[str, Number]) -> list[Number]:
    """Everything a number was computed from, each once; a number among its own ancestors ends the search."""
    seen: dict[str, Number] = {}
    waiting = list(number.derived_from)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen[name] = numbers[name]
            waiting.extend(numbers[name].derived_from)
    return list(seen.values())


def _compared(
    check: Check, numbers: Sequence[Number], *, stated: Range, expected: Range, tail: str, unit: str | None = None
) -> AuditFinding:
    """A finding on whether what was stated agrees with what the others imply."""
    agrees = stated.agrees(expected)
    factor = _gap(stated, expected)
    prefix = not agrees and _is_prefix(factor)
    shown = unit or _base(numbers[0])
    verb = "agrees with" if agrees else "contradicts"
    slip = f" (a factor {factor:,.0f}: a wrong prefix)" if prefix else f" (a factor {factor:.3g})" if not agrees else ""
    return AuditFinding(
        check=check,
        outcome=Outcome.AGREES if agrees else Outcome.CONTRADICTS,
        numbers=tuple(number.id for number in numbers),
        stated=stated.middle,
        expected=expected.middle,
        unit=shown,
        factor=factor,
        sentence=f"{_range(stated, shown)} {verb} {_range(expected, shown)}{slip}: {tail}.",
        sources=tuple(number.source for number in numbers),
    )


def _of(numbers: Sequence[Number], quantity: Quantity) -> Iterator[Number]:
    return (number for number in numbers if number.quantity is quantity)


def _one_shape(*numbers: Number) -> bool:
    """Whether all speak of one shape; a number that names none speaks of whichever the others do."""
    return len({number.shape for number in numbers if number.shape is not None}) <= 1


def _demand(throughput: Number, shape: Shape) -> Range:
    """FLOP/s that a rate of tokens demands."""
    per_token = float(shape.flop_per_token)
    return as_published(throughput) * Range(low=per_token, high=per_token)


def _factor(one: float, other: float) -> float:
    return max(one, other) / min(one, other)


def _gap(one: Range, other: Range) -> float:
    """How far apart two ranges are at their nearest ends for ranges, at their middles for plain numbers."""
    if one.high / one.low < _WIDE and other.high / other.low < _WIDE:
        return _factor(one.middle, other.middle)
    return max(1.0, one.low / other.high, other.low / one.high)


#: A range this wide was published as a range, and is not a rounded number.
_WIDE: Final = 1.19


def _is_prefix(factor: float) -> bool:
    steps = round(math.log(factor, _PREFIX))
    return steps > 0 and abs(factor / _PREFIX**steps - 1) <= TOLERANCE


_BASE: Final = {
    Quantity.THROUGHPUT: "tokens/s",
    Quantity.TIME: "s",
    Quantity.WORK: "FLOP",
    Quantity.RATE: "FLOP/s",
    Quantity.SPEEDUP: "x",
}


def _base(number: Number) -> str:
    return _BASE[number.quantity]


def _value(number: Number) -> str:
    """As published: `7x`, `15-60x`, `2,155 GFLOP/s`."""
    ends = f"{number.value:,.12g}" + (f"-{number.up_to:,.12g}" if number.up_to else "")
    return f"{ends}x" if number.unit == "x" else f"{ends} {number.unit}"


def _say(number: Number) -> str:
    """`382.87x (mojo over numpy)`."""
    whom = f"{number.of} over {number.than}" if number.than else number.of
    kind = "" if number.statistic == "mean" else f", {number.statistic.upper()}"
    return f"{_value(number)} ({whom}{kind})"


def _range(values: Range, unit: str) -> str:
    if values.high / values.low < _WIDE:
        return _amount(values.middle, unit)
    return f"{_amount(values.low, unit)} to {_amount(values.high, unit)}"


def _amount(value: float, unit: str) -> str:
    if unit in {"FLOP", "FLOP/s"}:
        return _flop(value) + unit.removeprefix("FLOP")
    if unit == "x":
        return f"{value:,.4g}x"
    return f"{value:,.6g} {unit}" if value < 1e6 else f"{value:,.0f} {unit}"  # noqa: PLR2004  # no exponents


def _flop(flop: float) -> str:
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if flop >= size:
            return f"{flop / size:.4g} {prefix}FLOP"
    return f"{flop:.4g} FLOP"
