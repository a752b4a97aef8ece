"""What findings say in numbers: what is required, what was measured, what the hardware allows."""

from typing import Final

from validation.verdicts.units import FIGURE, figure_words, published, scaled, unit_of
from validation.verdicts.units import interval as interval_in
from validation.verdicts.verdict import Finding

_METRICS: Final = {
    "speedup": "speedup",
    "tokens_per_s": "tokens per second",
    "gflop_per_s": "arithmetic rate",
    "latency_us": "time of one call",
    "p50_latency_us": "p50 of the time of one call",
    "p95_latency_us": "p95 of the time of one call",
    "p99_latency_us": "p99 of the time of one call",
    "floor_share": "share of the hardware's limit",
    "bandwidth_share": "share of memory's bandwidth",
    "holds": "whether it holds",
}


def metric_words(finding: Finding) -> str:
    """Returns what is measured, in words: `speedup`, `p95 of the time of one call`, `energy per call`."""
    if finding.metric.startswith(FIGURE):
        name, _ = figure_words(finding.metric)
        return f"ratio of {name}" if finding.baseline else name
    return _METRICS.get(finding.metric, finding.metric.replace("_", " "))


def quantity(finding: Finding, value: float) -> str:
    """Returns a value of the finding's metric with its unit: three significant digits."""
    if finding.metric == "holds":
        return "holds" if value >= 1 else "does not hold"
    return scaled(_unit(finding), value)


def required(finding: Finding) -> str:
    """Returns what the reading asks for: `at least 382×`, `15× to 60×`, `at most 47 ms`. Published digits are kept."""
    if finding.metric == "holds":
        return "that it holds"
    if finding.up_to is not None:
        return f"{claimed(finding)} to {published(_unit(finding), finding.up_to)}"
    return f"at {'least' if finding.comparison == 'at_least' else 'most'} {claimed(finding)}"


def claimed(finding: Finding) -> str:
    """Returns the published number alone, with its unit and its digits: 382.87 and not 383."""
    return "that it holds" if finding.metric == "holds" else published(_unit(finding), finding.required)


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
    return interval_in(_unit(finding), finding.estimate, *finding.interval)


def limit(finding: Finding) -> str:
    """Returns the most (least, for a latency) that the hardware allows, or an en dash."""
    return "–" if finding.limit is None else quantity(finding, finding.limit)


def figure_value(name: str, value: float) -> str:
    """Returns a figure's value in the unit that its name ends with: `demo-s` 101.5 -> 102 s."""
    return scaled(unit_of(FIGURE + name, baseline=False), value)


def figure_name(name: str) -> str:
    """Returns a figure's name in words, without the unit: `energy-per-call-j` -> `energy per call`."""
    return figure_words(FIGURE + name)[0]


def figure_unit(name: str) -> str:
    """Returns the unit of a figure's samples as they are recorded: `s`, `J`, or nothing where the name tells none."""
    unit = unit_of(FIGURE + name, baseline=False).strip()
    return {"us": "microseconds", "s": "seconds", "×": "", "share": ""}.get(unit, unit)


def _unit(finding: Finding) -> str:
    return unit_of(finding.metric, baseline=finding.baseline is not None)
