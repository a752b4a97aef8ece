"""Numbers as a reader meets them: three significant digits, thousands apart, the unit always there."""

import math
from typing import Final

from validation.verdicts.verdict import Finding

_MICROSECONDS_PER: Final = {"s": 1e6, "ms": 1e3, "µs": 1.0}
_BYTES_PER: Final = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}


def significant(value: float, digits: int = 3) -> str:
    """Returns `value` with `digits` significant digits and no exponent: 1234567 -> 1,230,000; 0.0456 -> 0.0456."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    # 9.996 rounds up to 10.00: one decimal too many.
    decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(decimals, 0)}f}"


def duration(microseconds: float) -> str:
    """Returns a time in the unit that keeps it readable: 43.7 µs, 10.1 ms, 2.35 s."""
    for unit, size in _MICROSECONDS_PER.items():
        if abs(microseconds) >= size:
            return f"{significant(microseconds / size)} {unit}"
    return f"{significant(microseconds)} µs"


def size(count: int) -> str:
    """Returns a number of bytes: 24 GiB, 512 KiB."""
    for unit, per in _BYTES_PER.items():
        if count >= per:
            return f"{count / per:.4g} {unit}"
    return f"{count} B"


def quantity(metric: str, value: float) -> str:  # noqa: PLR0911 - one line a metric
    """Returns a metric's value with its unit."""
    match metric:
        case "speedup":
            return f"{significant(value)}×"
        case "tokens_per_s":
            return f"{significant(value)} tokens/s"
        case "gflop_per_s":
            return f"{significant(value)} GFLOP/s"
        case _ if metric.endswith("latency_us"):
            return duration(value)
        case "holds":
            return "holds" if value >= 1 else "does not hold"
        case "figure":
            return significant(value)
        case "floor_share":
            return f"{significant(100 * value)} %"
        case _:
            return f"{significant(value)} {metric}"


def required(finding: Finding) -> str:
    """Returns what the reading asks for: `at least 382×`, `15× to 60×`, `at most 47 ms`. Published digits are kept."""
    bound = _published(finding.metric, finding.required)
    if finding.metric == "holds":
        return "that it holds"
    if finding.up_to is not None:
        return f"{bound} to {_published(finding.metric, finding.up_to)}"
    return f"at {'least' if finding.comparison == 'at_least' else 'most'} {bound}"


def claimed(finding: Finding) -> str:
    """Returns the published number alone, with its unit."""
    return _published(finding.metric, finding.required)


def measured(finding: Finding) -> str:
    """Returns `1.37× [1.35, 1.39]`, or an en dash when nothing was measured."""
    if finding.estimate is None:
        return "–"
    return quantity(finding.metric, finding.estimate) + (f" {interval(finding)}" if finding.interval else "")


def interval(finding: Finding) -> str:
    """Returns the interval in the unit of the estimate, without repeating it."""
    if finding.interval is None or finding.estimate is None:
        return ""
    scale = 1.0
    if finding.metric.endswith("latency_us"):
        scale = next((per for per in _MICROSECONDS_PER.values() if abs(finding.estimate) >= per), 1.0)
    elif finding.metric == "floor_share":
        scale = 0.01
    low, high = (significant(end / scale) for end in finding.interval)
    return f"[{low}, {high}]"


def limit(finding: Finding) -> str:
    """Returns the most (least, for a latency) that the hardware allows, or an en dash."""
    return "–" if finding.limit is None else quantity(finding.metric, finding.limit)


def _published(metric: str, value: float) -> str:
    """The published number keeps its digits: 382.87 and not 383."""
    if metric == "speedup":
        return f"{value:,.10g}×"
    if metric == "floor_share":
        return f"{100 * value:,.10g} %"
    if metric.endswith("latency_us"):
        for unit, per in _MICROSECONDS_PER.items():
            if abs(value) >= per:
                return f"{value / per:,.10g} {unit}"
        return f"{value:,.10g} µs"
    if metric == "holds":
        return "that it holds"
    unit = {"gflop_per_s": " GFLOP/s", "tokens_per_s": " tokens/s", "figure": ""}.get(metric, f" {metric}")
    return f"{value:,.10g}{unit}"
