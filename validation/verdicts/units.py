"""Numbers as a reader meets them: three significant digits, thousands apart, the unit always there."""

import math
from typing import Final

_MICROSECONDS_PER: Final = {"s": 1e6, "ms": 1e3, "µs": 1.0}
#: How verdicts.json names the metric of a figure: `figure:demo-s`.
FIGURE: Final = "figure:"
_UNITS: Final = {
    "speedup": "×",
    "tokens_per_s": " tokens/s",
    "gflop_per_s": " GFLOP/s",
    "latency_us": "us",
    "p50_latency_us": "us",
    "p95_latency_us": "us",
    "p99_latency_us": "us",
    "floor_share": "share",
    "bandwidth_share": "share",
}
_FIGURE_UNITS: Final = {
    "s": "s",
    "us": "us",
    "share": "share",
    "ratio": "×",
    "j": " J",
    "w": " W",
    "bytes": " B",
    "tokens": " tokens",
}
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


def unit_of(metric: str, *, baseline: bool) -> str:
    """Returns the unit of a metric as verdicts.json names it.

    `s` and `us` scale themselves, `share` becomes percent, all else stands behind the number as it is. Against a
    baseline a figure is judged as how many times the baseline's it is.
    """
    if metric.startswith(FIGURE):
        return "×" if baseline else figure_words(metric)[1]
    return _UNITS.get(metric, "")


def figure_words(metric: str) -> tuple[str, str]:
    """Returns the words of a figure's name, and its unit, the last of them where it is one."""
    words = metric.removeprefix(FIGURE).split("-")
    if words[-1] in _FIGURE_UNITS and len(words) > 1:
        return " ".join(words[:-1]), _FIGURE_UNITS[words[-1]]
    return " ".join(words), ""


def scaled(unit: str, value: float) -> str:
    """Returns a value with its unit: three significant digits."""
    if unit in {"s", "us"}:
        return duration(value * 1e6 if unit == "s" else value)
    if unit == "share":
        return f"{significant(100 * value)} %"
    return f"{significant(value)}{unit}"


def interval(unit: str, estimate: float, low: float, high: float) -> str:
    """Returns the interval of an estimate in the unit that `scaled` gives that, without repeating it."""
    scale = 1.0
    if unit in {"s", "us"}:
        to_us = 1e6 if unit == "s" else 1.0
        scale = next((per for per in _MICROSECONDS_PER.values() if abs(estimate) * to_us >= per), 1.0) / to_us
    elif unit == "share":
        scale = 0.01
    return f"[{significant(low / scale)}, {significant(high / scale)}]"


def published(unit: str, value: float) -> str:
    """Returns a published number with its unit and the digits it was published with: 382.87 and not 383."""
    if unit == "share":
        return f"{100 * value:,.10g} %"
    if unit == "us":
        for name, per in _MICROSECONDS_PER.items():
            if abs(value) >= per:
                return f"{value / per:,.10g} {name}"
        return f"{value:,.10g} µs"
    return f"{value:,.10g}{' s' if unit == 's' else unit}"
