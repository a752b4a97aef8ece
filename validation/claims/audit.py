"""The arithmetic audit: do published numbers agree with each other, and with physics? Needs no hardware.

Every rule looks at all numbers of the claims files that it applies to; none knows of a text. What it finds is stated
with its numbers, agreements too, so that a reader sees what was compared and not only what failed.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import combinations
from typing import Final

from validation.claims.claim import Provenance
from validation.claims.load import ClaimsFile
from validation.claims.published import Number, Product, Quantity, Shape
from validation.record import Record

#: Published numbers are rounded: to three digits as a rule, which is up to 0.5 %. Two of them differ by 1 % at most.
TOLERANCE: Final = 0.01
#: A mean within this of a P95, or of work over rate, is the same quantity under another statistic.
STATISTIC_TOLERANCE: Final = 0.05
#: 192 cores x 64 float32 FLOP a cycle (two 512-bit FMA) x 3.7 GHz: the largest x86 socket sold by 2025 (AMD EPYC 9965
#: datasheet), at boost on all cores, which none sustains.
LARGEST_CPU_FLOP_PER_S: Final = 192 * 64 * 3.7e9
#: Dense bfloat16 of one NVIDIA B200 (datasheet 2024), the fastest single accelerator of its time.
LARGEST_GPU_FLOP_PER_S: Final = 2.25e15


class Rule(StrEnum):
    """What is compared."""

    RATIO = "ratio"
    SAME_THING = "same_thing"
    PRODUCT = "product"
    UNIT = "unit"
    WORK = "work"
    RATE_TIMES_LATENCY = "rate_times_latency"
    CEILING = "ceiling"
    RATES_APART = "rates_apart"
    PROVENANCE = "provenance"


class Agreement(StrEnum):
    """`notable`: no contradiction by itself, but the reader must know it to read the numbers."""

    AGREES = "agrees"
    NOTABLE = "notable"
    CONTRADICTS = "contradicts"


class AuditFinding(Record):
    """One comparison: which rule, which numbers, how they stand, and the sentence that says so."""

    rule: Rule
    numbers: tuple[str, ...]
    agreement: Agreement
    explanation: str


def audit(files: Sequence[ClaimsFile]) -> tuple[AuditFinding, ...]:
    """Returns every comparison the rules make over the published numbers of the files, file by file."""
    return tuple(finding for file in files for finding in _audit(file))


def _audit(file: ClaimsFile) -> Iterator[AuditFinding]:
    numbers = {one.id: one for one in file.numbers}
    shapes = {one.id: one for one in file.shapes}
    yield from _ratios(file.numbers)
    yield from _same_things(file.numbers)
    for product in file.products:
        yield _product(product, numbers)
    yield from _units(file.numbers)
    for number in file.numbers:
        if number.shape is not None:
            yield from _work(number, shapes[number.shape])
            yield from _ceiling(number, shapes[number.shape])
    yield from _rates_times_latencies(file.numbers, shapes)
    yield from _rates_apart(file.numbers, shapes)
    yield from _provenances(file.numbers)


def _ratios(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """A speedup of A over B against the throughputs of A and of B at the same shape."""
    rates = {(one.of, one.shape): one for one in numbers if one.quantity is Quantity.THROUGHPUT}
    for speedup in numbers:
        if speedup.quantity is not Quantity.SPEEDUP or speedup.than is None:
            continue
        # A speedup that names no shape is compared at every shape both were given at.
        for shape in sorted({key[1] for key in rates if key[1] is not None}):
            top, bottom = rates.get((speedup.of, shape)), rates.get((speedup.than, shape))
            if top is None or bottom is None or speedup.shape not in {None, shape}:
                continue
            found = top.low / bottom.low
            yield AuditFinding(
                rule=Rule.RATIO,
                numbers=(speedup.id, top.id, bottom.id),
                agreement=_agreement(speedup, found),
                explanation=(
                    f"{_shown(top)} over {_shown(bottom)} is {found:.5g}x; the text says {_range(speedup)} "
                    f"({speedup.of} over {speedup.than})."
                ),
            )


def _same_things(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """Two numbers of the same thing over the same thing must be the same number."""
    for one, other in combinations(numbers, 2):
        comparable = one.quantity is other.quantity and one.of == other.of and one.than == other.than
        if not comparable or one.statistic != other.statistic or one.concurrency != other.concurrency:
            continue
        if one.shape != other.shape and None not in {one.shape, other.shape}:
            continue
        overlap = one.low <= other.high * (1 + TOLERANCE) and other.low <= one.high * (1 + TOLERANCE)
        what = f"{one.of} over {one.than}" if one.than else f"the {one.quantity} of {one.of}"
        told = f"cannot both name the same baseline: {_factor(one.low, other.low)} apart" if one.than else "differ"
        yield AuditFinding(
            rule=Rule.SAME_THING,
            numbers=(one.id, other.id),
            agreement=Agreement.AGREES if overlap else Agreement.CONTRADICTS,
            explanation=(
                f"{_range(one)} ({one.source}) and {_range(other)} ({other.source}) are both said of {what}"
                f"{' and agree' if overlap else f'; they {told}'}."
            ),
        )


def _product(product: Product, numbers: dict[str, Number]) -> AuditFinding:
    """Factors against the total they are said to make up."""
    low = high = 1.0
    for part in product.parts:
        low, high = low * numbers[part].low, high * numbers[part].high
    total = numbers[product.total]
    fits = low * (1 - TOLERANCE) <= total.high and total.low <= high * (1 + TOLERANCE)
    parts = " x ".join(_range(numbers[part]).removesuffix("x") for part in product.parts)
    made = f"{low:.4g}x" if low == high else f"{low:.4g}x to {high:.4g}x"
    return AuditFinding(
        rule=Rule.PRODUCT,
        numbers=(*product.parts, product.total),
        agreement=Agreement.AGREES if fits else Agreement.CONTRADICTS,
        explanation=f"{parts} makes {made}; the total is given as {_range(total)} ({product.source}).",
    )


def _units(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """A rate of work against the work and the time it was computed from; a power of 1000 between them is a unit."""
    for rate in numbers:
        if rate.quantity is not Quantity.RATE:
            continue
        same = [one for one in numbers if (one.of, one.shape) == (rate.of, rate.shape)]
        works = [one for one in same if one.quantity is Quantity.WORK]
        times = [one for one in same if one.quantity is Quantity.TIME and one.concurrency == rate.concurrency]
        for work in works:
            for time in times:
                found = work.low / time.low
                agreement = _agreement(rate, found)
                factor = rate.low / found
                unit = agreement is Agreement.CONTRADICTS and any(
                    abs(factor / 1000.0**power - 1) <= TOLERANCE for power in (-3, -2, -1, 1, 2, 3)
                )
                yield AuditFinding(
                    rule=Rule.UNIT,
                    numbers=(rate.id, work.id, time.id),
                    agreement=agreement,
                    explanation=(
                        f"{_shown(work)} in {_shown(time)} is {_si(found)}FLOP/s; the text says {_shown(rate)}"
                        + (f", a factor {factor:.4g}: a unit is wrong." if unit else f", a factor {factor:.4g}.")
                    ),
                )


def _work(number: Number, shape: Shape) -> Iterator[AuditFinding]:
    """Published work against what the shape needs."""
    if number.quantity is Quantity.WORK:
        yield AuditFinding(
            rule=Rule.WORK,
            numbers=(number.id,),
            agreement=_agreement(number, shape.flops),
            explanation=(
                f"{_shown(number)} is given as the work of {shape.id}; {shape.tokens:,} tokens x {shape.top_k} experts x "
                f"{'6' if shape.gated else '4'} x {shape.d_model} x {shape.d_ff} is {_si(shape.flops)}FLOP."
            ),
        )


def _ceiling(number: Number, shape: Shape) -> Iterator[AuditFinding]:
    """The FLOP/s a published throughput, time or rate implies, against the fastest machines sold."""
    if number.quantity is Quantity.THROUGHPUT:
        implied = number.low * shape.flop_per_token
    elif number.quantity is Quantity.TIME:
        implied = number.concurrency * shape.flops / number.low
    elif number.quantity is Quantity.RATE:
        implied = number.low
    else:
        return
    if implied > LARGEST_GPU_FLOP_PER_S:
        agreement, told = (
            Agreement.CONTRADICTS,
            f"above any single processor or GPU ({_si(LARGEST_GPU_FLOP_PER_S)}FLOP/s)",
        )
    elif implied > LARGEST_CPU_FLOP_PER_S:
        agreement = Agreement.NOTABLE
        told = f"above the peak of any CPU socket ({_si(LARGEST_CPU_FLOP_PER_S)}FLOP/s): only a GPU could do it"
    else:
        agreement, told = Agreement.AGREES, "within what one CPU socket or GPU can do"
    yield AuditFinding(
        rule=Rule.CEILING,
        numbers=(number.id,),
        agreement=agreement,
        explanation=f"{_shown(number)} at {shape.id} implies {_si(implied)}FLOP/s, {told}.",
    )


def _rates_times_latencies(numbers: Sequence[Number], shapes: dict[str, Shape]) -> Iterator[AuditFinding]:
    """Throughput x time of one call = tokens of one call, for calls made one after another (Little's law)."""
    for rate in numbers:
        if rate.quantity is not Quantity.THROUGHPUT or rate.shape is None:
            continue
        for time in numbers:
            if time.quantity is not Quantity.TIME or (time.of, time.shape) != (rate.of, rate.shape):
                continue
            if time.concurrency != rate.concurrency:
                continue
            tokens, found = shapes[rate.shape].tokens, rate.low * time.low
            tolerance = TOLERANCE if time.statistic == "mean" else STATISTIC_TOLERANCE
            fits = abs(found / tokens - 1) <= tolerance
            yield AuditFinding(
                rule=Rule.RATE_TIMES_LATENCY,
                numbers=(rate.id, time.id),
                agreement=Agreement.AGREES if fits else Agreement.CONTRADICTS,
                explanation=(
                    f"{_shown(rate)} x {_shown(time)} ({time.statistic}) is {found:,.0f} tokens; a call of {rate.shape} "
                    f"has {tokens:,}."
                ),
            )


def _rates_apart(numbers: Sequence[Number], shapes: dict[str, Shape]) -> Iterator[AuditFinding]:
    """Two throughputs of one thing at two shapes: what is apart in tokens/s, and what in FLOP/s."""
    rates = [one for one in numbers if one.quantity is Quantity.THROUGHPUT and one.shape is not None]
    for one, other in combinations(rates, 2):
        if one.of != other.of or one.shape == other.shape or one.shape is None or other.shape is None:
            continue
        work, other_work = shapes[one.shape].flop_per_token, shapes[other.shape].flop_per_token
        yield AuditFinding(
            rule=Rule.RATES_APART,
            numbers=(one.id, other.id),
            agreement=Agreement.NOTABLE,
            explanation=(
                f"{_shown(one)} at {one.shape} and {_shown(other)} at {other.shape} are {_factor(one.low, other.low)} "
                f"apart in tokens/s; in FLOP/s they are {_factor(one.low * work, other.low * other_work)} apart "
                f"({_si(one.low * work)}FLOP/s and {_si(other.low * other_work)}FLOP/s), since a token of {other.shape} "
                f"is {other_work / work:.3g} times the work."
            ),
        )


def _provenances(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """What the text says of a number's origin against what its scripts show, and what it was derived from."""
    by_id = {one.id: one for one in numbers}
    for number in numbers:
        origins = [by_id[origin] for origin in number.derived_from]
        rests_on = [one for one in origins if one.provenance in {Provenance.SIMULATED, Provenance.ASSERTED}]
        said = number.presented_as
        if said is None:
            continue
        honest = said is number.provenance
        if honest and not rests_on:
            continue
        told = f"{_shown(number)} is presented as {said}; its scripts show that it is {number.provenance}"
        if origins:
            told += f", derived from {', '.join(one.id for one in origins)}"
        if rests_on:
            told += f", of which {', '.join(f'{one.id} is {one.provenance}' for one in rests_on)}"
        # A ratio of measured numbers may be called measured: nothing in it was made up.
        derived = number.provenance is Provenance.DERIVED and not rests_on
        yield AuditFinding(
            rule=Rule.PROVENANCE,
            numbers=(number.id, *number.derived_from),
            agreement=Agreement.NOTABLE if derived else Agreement.CONTRADICTS,
            explanation=f"{told}.",
        )


def _agreement(number: Number, found: float) -> Agreement:
    fits = number.low * (1 - TOLERANCE) <= found <= number.high * (1 + TOLERANCE)
    return Agreement.AGREES if fits else Agreement.CONTRADICTS


def _shown(number: Number) -> str:
    return f"{number.value:,.10g} {number.unit}"


def _range(number: Number) -> str:
    return f"{number.value:.10g}x" if number.up_to is None else f"{number.value:.10g}x to {number.up_to:.10g}x"


def _factor(one: float, other: float) -> str:
    return f"a factor {max(one, other) / min(one, other):.3g}"


def _si(value: float) -> str:
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:.4g} {prefix}"
    return f"{value:.4g} "
