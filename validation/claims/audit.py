"""The arithmetic audit: do the published numbers agree with each other, with their units, and with any machine?

Every finding follows from a general rule over the numbers of a claims file; none is written for a particular text. Two
figures agree when their ranges overlap once each is widened by half a unit of its last published digit, and by 1 % for
what was rounded on the way. It needs no kernel and no hardware, and takes milliseconds.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations, product
from typing import Final, Protocol

from validation.claims.audit_finding import AuditFinding, Check, Outcome, compared
from validation.claims.figures import Range, amount, as_published, digits, exactly, quoted, said, stated
from validation.claims.machines import MACHINES, Machine
from validation.claims.origins import circular, provenance
from validation.claims.published import Number, Product, Quantity, Shape

__all__ = ["AuditFinding", "Check", "Outcome", "Published", "audit"]

#: Below this a factor between rates at two shapes is what two shapes may well differ by.
_APART: Final = 4.0


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


def audit(published: Published, machines: Sequence[Machine] = MACHINES) -> tuple[AuditFinding, ...]:
    """Returns what the rules find, contradictions first.

    Args:
        published: a claims file.
        machines: what published rates are set against.
    """
    shapes = {shape.id: shape for shape in published.shapes}
    by_id = {number.id: number for number in published.numbers}
    distinct = _distinct(published.numbers)
    found = [
        *_same(published.numbers, distinct),
        *_ratios(distinct),
        *_chains(distinct),
        *_products(published.products, by_id),
        *_units(distinct),
        *_work(distinct, shapes),
        *_rate_times_work(distinct, shapes),
        *_rate_times_latency(distinct, shapes),
        *_across_shapes(distinct, shapes),
        *_ceilings(distinct, shapes, machines),
        *provenance(published.numbers),
        *circular(published.numbers, by_id),
    ]
    outcomes, checks = list(Outcome), list(Check)
    return tuple(sorted(found, key=lambda one: (outcomes.index(one.outcome), checks.index(one.check), one.numbers)))


def _speak_of_one_thing(one: Number, other: Number) -> bool:
    """Whether two numbers are values of the same quantity of the same thing; an unnamed shape may be any."""
    alike = ("quantity", "of", "than", "statistic", "concurrency")
    return all(getattr(one, name) == getattr(other, name) for name in alike) and _one_shape(one, other)


def _distinct(numbers: Sequence[Number]) -> list[Number]:
    """The numbers without their repetitions: of those that agree on one thing, the one with the most digits."""
    kept: list[Number] = []
    for number in sorted(numbers, key=lambda one: (-digits(one), one.id)):
        if not any(_repeats(number, other) for other in kept):
            kept.append(number)
    order = [number.id for number in numbers]
    return sorted(kept, key=lambda one: order.index(one.id))


def _repeats(one: Number, other: Number) -> bool:
    return _speak_of_one_thing(one, other) and as_published(one).agrees(as_published(other))


def _same(numbers: Sequence[Number], distinct: Sequence[Number]) -> Iterator[AuditFinding]:
    """Numbers that speak of the same thing must be the same number."""
    kept = {number.id for number in distinct}
    for one, other in combinations(numbers, 2):
        if not _speak_of_one_thing(one, other):
            continue
        # Two repetitions of different numbers would only say again what those say.
        if not {one.id, other.id} <= kept and not _repeats(one, other):
            continue
        over = "" if one.than is None else ", so they cannot both name the same baseline"
        agree = _repeats(one, other)
        yield compared(
            Check.SAME,
            (one, other),
            as_published(other),
            as_published(one),
            f"{said(one)} and {quoted(other)} are said of the same thing{'' if agree else over}",
        )


def _ratios(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """A speedup is the ratio of two throughputs or rates, or of two times the other way round."""
    measures = [one for one in numbers if one.quantity in {Quantity.THROUGHPUT, Quantity.TIME, Quantity.RATE}]
    for speedup, (fast, slow) in product(_of(numbers, Quantity.SPEEDUP), permutations(measures, 2)):
        if (fast.of, slow.of) != (speedup.of, speedup.than) or not _one_shape(speedup, fast, slow):
            continue
        if (fast.quantity, fast.statistic, fast.concurrency) != (slow.quantity, slow.statistic, slow.concurrency):
            continue
        above, below = (slow, fast) if fast.quantity is Quantity.TIME else (fast, slow)
        ratio = as_published(above).over(as_published(below), "x")
        words = f"{said(speedup)}, and {said(above)} over {said(below)} is {ratio}"
        yield compared(Check.RATIO, (speedup, above, below), as_published(speedup), ratio, words)


def _chains(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """First over second times second over third is first over third."""
    for first, second, whole in permutations(_of(numbers, Quantity.SPEEDUP), 3):
        linked = first.than == second.of and whole.of == first.of and whole.than == second.than
        if linked and first.of != second.than and _one_shape(first, second, whole):
            expected = as_published(first).times(as_published(second), "x")
            words = f"{said(whole)}, and {said(first)} times {said(second)} is {expected}"
            yield compared(Check.CHAIN, (whole, first, second), as_published(whole), expected, words)


def _products(products: Sequence[Product], by_id: Mapping[str, Number]) -> Iterator[AuditFinding]:
    """Factors that are said to make up a total must multiply to it.

    They are taken as written: three factors rounded at will explain nearly any total.
    """
    for said_product in products:
        parts = [by_id[name] for name in said_product.parts]
        total = by_id[said_product.total]
        expected = exactly(1.0, "x")
        for part in parts:
            expected = expected.times(stated(part), "x")
        factors = " times ".join(quoted(part) for part in parts)
        words = f"{said(total)}, and {factors} is {expected}"
        yield compared(Check.PRODUCT, (total, *parts), as_published(total), expected, words)


def _units(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """A rate is a work over a time."""
    rates, works, times = (_of(numbers, one) for one in (Quantity.RATE, Quantity.WORK, Quantity.TIME))
    for rate, work, time in product(rates, works, times):
        if {work.of, time.of} == {rate.of} and _one_shape(rate, work, time) and time.statistic == "mean":
            expected = as_published(work).over(as_published(time), "FLOP/s")
            words = f"{said(rate)}, and {quoted(work)} in {quoted(time)} is {expected}"
            yield compared(Check.UNIT, (rate, work, time), as_published(rate), expected, words)


def _work(numbers: Sequence[Number], shapes: Mapping[str, Shape]) -> Iterator[AuditFinding]:
    """The work of a call follows from its shape."""
    for work in _of(numbers, Quantity.WORK):
        if work.shape is not None:
            expected = exactly(float(shapes[work.shape].flops), "FLOP")
            words = f"{said(work)}, and the expert matmuls of shape {work.shape} are {expected}"
            yield compared(Check.WORK, (work,), as_published(work), expected, words)


def _rate_times_work(numbers: Sequence[Number], shapes: Mapping[str, Shape]) -> Iterator[AuditFinding]:
    """Tokens/s times FLOP per token is FLOP/s."""
    for rate, tokens in product(_of(numbers, Quantity.RATE), _of(numbers, Quantity.THROUGHPUT)):
        if rate.of == tokens.of and rate.shape is not None and rate.shape == tokens.shape:
            expected = _demand(tokens, shapes[rate.shape])
            words = f"{said(rate)}, and {_demanding(tokens, shapes[rate.shape])}"
            yield compared(Check.RATE_TIMES_WORK, (rate, tokens), as_published(rate), expected, words)


def _rate_times_latency(numbers: Sequence[Number], shapes: Mapping[str, Shape]) -> Iterator[AuditFinding]:
    """In a closed loop, tokens/s times mean latency is the tokens in flight (Little 1961).

    A P95 or P99 is above the mean of anything that is served, so it may only amount to more.
    """
    for rate, time in product(_of(numbers, Quantity.THROUGHPUT), _of(numbers, Quantity.TIME)):
        if rate.of != time.of or time.shape is None or time.shape != rate.shape or rate.concurrency != time.concurrency:
            continue
        tokens = exactly(float(shapes[time.shape].tokens * time.concurrency), "tokens")
        implied = as_published(rate).times(as_published(time), "tokens")
        mean = time.statistic == "mean"
        if not mean and (time.statistic == "p50" or implied.low >= tokens.low or implied.agrees(tokens)):
            continue
        below = "" if mean else f" (the {time.statistic.upper()} would lie below the mean)"
        words = f"{said(rate)} times {said(time)} is {implied}, and {tokens} are in flight{below}"
        yield compared(Check.RATE_TIMES_LATENCY, (rate, time), tokens, implied, words)


def _across_shapes(numbers: Sequence[Number], shapes: Mapping[str, Shape]) -> Iterator[AuditFinding]:
    """Rates of one thing at two shapes: tokens/s may differ, the FLOP/s behind them should not differ much."""
    rated = [(number, rate) for number in numbers if (rate := _flop_rate(number, shapes)) is not None]
    for (one, first), (other, second) in combinations(rated, 2):
        if one.of != other.of or one.shape == other.shape or None in {one.shape, other.shape}:
            continue
        apart = first.factor(second)
        tokens = ""
        if one.quantity is other.quantity is Quantity.THROUGHPUT:
            tokens = f"{stated(one).factor(stated(other)):.3g} in tokens/s and "
        elif apart < _APART:
            continue
        yield AuditFinding(
            check=Check.ACROSS_SHAPES,
            outcome=Outcome.NOTABLE,
            numbers=(one.id, other.id),
            stated=second.middle,
            expected=first.middle,
            unit="FLOP/s",
            factor=apart,
            sentence=(
                f"{said(one)} at {one.shape} and {said(other)} at {other.shape} are apart by a factor {tokens}"
                f"{apart:.3g} in FLOP/s: {first} and {second}."
            ),
            sources=(one.source, other.source),
        )


def _ceilings(
    numbers: Sequence[Number], shapes: Mapping[str, Shape], machines: Sequence[Machine]
) -> Iterator[AuditFinding]:
    """A published rate says on which machines it cannot have been measured."""
    for number in numbers:
        rate = _flop_rate(number, shapes)
        beyond = [machine for machine in machines if rate is not None and machine.flop_per_s < rate.low]
        if rate is None or not beyond:
            continue
        largest = max(beyond, key=lambda machine: machine.flop_per_s)
        every = len(beyond) == len(machines)
        how = (
            said(number)
            if number.shape is None or number.quantity is Quantity.RATE
            else _demanding(number, shapes[number.shape])
        )
        yield AuditFinding(
            check=Check.CEILING,
            outcome=Outcome.CONTRADICTS if every else Outcome.NOTABLE,
            numbers=(number.id,),
            stated=rate.middle,
            expected=largest.flop_per_s,
            unit="FLOP/s",
            factor=rate.middle / largest.flop_per_s,
            sentence=(
                f"{how}, more than {largest.name} can do ({amount(largest.flop_per_s, 'FLOP/s')})"
                f"{', and no machine listed here can do it' if every else ''}."
            ),
            sources=(number.source, largest.source),
        )


def _of(numbers: Sequence[Number], quantity: Quantity) -> list[Number]:
    return [number for number in numbers if number.quantity is quantity]


def _one_shape(*numbers: Number) -> bool:
    """Whether all speak of one shape; a number that names none speaks of whichever the others do."""
    return len({number.shape for number in numbers if number.shape is not None}) <= 1


def _demand(tokens: Number, shape: Shape) -> Range:
    """FLOP/s that a rate of tokens demands."""
    return as_published(tokens).times(exactly(float(shape.flop_per_token), "FLOP"), "FLOP/s")


def _demanding(tokens: Number, shape: Shape) -> str:
    per_token = amount(float(shape.flop_per_token), "FLOP")
    return f"{said(tokens)} at {per_token} per token is {_demand(tokens, shape)}"


def _flop_rate(number: Number, shapes: Mapping[str, Shape]) -> Range | None:
    """FLOP/s that a number states or demands; None when it is no rate, or its shape is unnamed."""
    if number.quantity is Quantity.RATE:
        return as_published(number)
    if number.quantity is Quantity.THROUGHPUT and number.shape is not None:
        return _demand(number, shapes[number.shape])
    return None
