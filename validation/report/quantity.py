"""Numbers as a reader meets them: three significant digits, thousands apart, the unit always there."""

import math
from typing import Final

from validation.verdicts.verdict import Finding

_MICROSECONDS_PER: Final = {"s": 1e6, "ms": 1e3, "µs": 1.0}
#: How verdicts.json names the metric of a figure: `figure:demo-s`.
FIGURE: Final = "figure:"
_METRICS: Final = {
    "speedup": "speedup",
    "tokens_per_s": "tokens per second",
    "gflop_per_s": "arithmetic rate",
    "latency_us": "time of one call",
    "p50_latency_us": "p50 of the time of one call",
    "p95_latency_us": "p95 of the time of one call",
    "p99_latency_us": "p99 of the time of one call",
    "floor_share": "share of the hardware's limit",
    "holds": "whether it holds",
}
_UNITS: Final = {
    "speedup": "×",
    "tokens_per_s": " tokens/s",
    "gflop_per_s": " GFLOP/s",
    "latency_us": "us",
    "p50_latency_us": "us",
    "p95_latency_us": "us",
    "p99_latency_us": "us",
    "floor_share": "share",
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


def metric_words(finding: Finding) -> str:
    """Returns what is measured, in words: `speedup`, `p95 of the time of one call`, `energy per call`."""
    if finding.metric.startswith(FIGURE):
        name, _ = _figure(finding.metric)
        return f"ratio of {name}" if finding.baseline else name
    return _METRICS.get(finding.metric, finding.metric.replace("_", " "))


def quantity(finding: Finding, value: float) -> str:
    """Returns a value of the finding's metric with its unit: three significant digits."""
    if finding.metric == "holds":
        return "holds" if value >= 1 else "does not hold"
    return _scaled(_unit(finding), value)


def required(finding: Finding) -> str:
    """Returns what the reading asks for: `at least 382×`, `15× to 60×`, `at most 47 ms`. Published digits are kept."""
    if finding.metric == "holds":
        return "that it holds"
    if finding.up_to is not None:
        return f"{claimed(finding)} to {_published(finding, finding.up_to)}"
    return f"at {'least' if finding.comparison == 'at_least' else 'most'} {claimed(finding)}"


def claimed(finding: Finding) -> str:
    """Returns the published number alone, with its unit and its digits: 382.87 and not 383."""
    return _published(finding, finding.required)


def measured(finding: Finding) -> str:
    """Returns `1.37× [1.35, 1.39]`, `1.37× (2 pairs)` where there are too few, or an en dash when none was measured."""
    if finding.estimate is None:
        return "–"
    counted = "sample" if finding.metric.startswith(FIGURE) else "pair"
    few = f"({finding.pairs} {counted}{'' if finding.pairs == 1 else 's'})"
    return f"{quantity(finding, finding.estimate)} {interval(finding) or few}"


def interval(finding: Finding) -> str:
    """Returns the interval in the unit of the estimate, without repeating it."""
    if finding.interval is None or finding.estimate is None:
        return ""
    scale, unit = 1.0, _unit(finding)
    if unit in {"s", "us"}:
        to_us = 1e6 if unit == "s" else 1.0
        scale = next((per for per in _MICROSECONDS_PER.values() if abs(finding.estimate) * to_us >= per), 1.0) / to_us
    elif unit == "share":
        scale = 0.01
    low, high = (significant(end / scale) for end in finding.interval)
    return f"[{low}, {high}]"


def limit(finding: Finding) -> str:
    """Returns the most (least, for a latency) that the hardware allows, or an en dash."""
    return "–" if finding.limit is None else quantity(finding, finding.limit)


def figure_value(name: str, value: float) -> str:
    """Returns a figure's value in the unit that its name ends with: `demo-s` 101.5 -> 102 s."""
    return _scaled(_figure(FIGURE + name)[1], value)


def figure_name(name: str) -> str:
    """Returns a figure's name in words, without the unit: `energy-per-call-j` -> `energy per call`."""
    return _figure(FIGURE + name)[0]


def figure_unit(name: str) -> str:
    """Returns the unit of a figure's samples as they are recorded: `s`, `J`, or nothing where the name tells none."""
    unit = _figure(FIGURE + name)[1].strip()
    return {"us": "microseconds", "s": "seconds", "×": "", "share": ""}.get(unit, unit)


def _figure(metric: str) -> tuple[str, str]:
    """The words of a figure's name and its unit, the last of them where it is one."""
    words = metric.removeprefix(FIGURE).split("-")
    if words[-1] in _FIGURE_UNITS and len(words) > 1:
        return " ".join(words[:-1]), _FIGURE_UNITS[words[-1]]
    return " ".join(words), ""


def _unit(finding: Finding) -> str:
    """`s` and `us` scale themselves, `share` becomes percent, all else stands behind the number as it is."""
    if finding.metric.startswith(FIGURE):
        # Against a baseline a figure is judged as how many times the baseline's it is.
        return "×" if finding.baseline else _figure(finding.metric)[1]
    return _UNITS.get(finding.metric, "")


def _scaled(unit: str, value: float) -> str:
    if unit in {"s", "us"}:
        return duration(value * 1e6 if unit == "s" else value)
    if unit == "share":
        return f"{significant(100 * value)} %"
    return f"{significant(value)}{unit}"


def _published(finding: Finding, value: float) -> str:
    """The published number keeps its digits."""
    unit = _unit(finding)
    if finding.metric == "holds":
        return "that it holds"
    if unit == "share":
        return f"{100 * value:,.10g} %"
    if unit == "us":
        for name, per in _MICROSECONDS_PER.items():
            if abs(value) >= per:
                return f"{value / per:,.10g} {name}"
        return f"{value:,.10g} µs"
    return f"{value:,.10g}{' s' if unit == 's' else unit}"
