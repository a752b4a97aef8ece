"""Numbers in a sentence: three significant digits and a unit."""

from validation.claims.claim import Metric
from validation.performance.statistics import Estimate

_UNITS = {
    Metric.SPEEDUP: "x",
    Metric.TOKENS_PER_S: " tokens/s",
    Metric.GFLOP_PER_S: " GFLOP/s",
    Metric.LATENCY_US: " us",
    Metric.P50_LATENCY_US: " us",
    Metric.P95_LATENCY_US: " us",
    Metric.P99_LATENCY_US: " us",
    Metric.FLOOR_SHARE: " of the hardware's limit",
}


def amount(metric: Metric, value: float) -> str:
    """Returns `1.37x`, `101,000 tokens/s`, `91.2 % of the hardware's limit`."""
    if metric is Metric.FLOOR_SHARE:
        return f"{_share(value)}{_UNITS[metric]}"
    return f"{number(value)}{_UNITS.get(metric, '')}"


def number(value: float) -> str:
    """Returns three significant digits, thousands apart, without an exponent between 1e-4 and 1e15."""
    text = f"{value:.3g}"
    return f"{float(text):,.0f}" if 1e3 <= abs(value) < 1e15 else text  # noqa: PLR2004  # where digits stop helping


def bound(metric: Metric, value: float) -> str:
    """Returns a published number with the digits it was published with."""
    if metric is Metric.FLOOR_SHARE:
        return f"{100 * value:.10g} %"
    return f"{value:,.10g}{_UNITS.get(metric, '')}"


def measured(metric: Metric, estimate: Estimate) -> str:
    """Returns `1.37x [1.36, 1.38]`."""
    if metric is Metric.FLOOR_SHARE:
        return f"{amount(metric, estimate.value)} [{_share(estimate.low)}, {_share(estimate.high)}]"
    return f"{amount(metric, estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


def microseconds(ns: float) -> str:
    """Returns a time in microseconds."""
    return f"{number(ns / 1e3)} us"


def percent(share: float) -> str:
    """Returns `3 %`, `0.5 %`, `120 %`: two significant digits, never an exponent."""
    return f"{float(f'{100 * share:.2g}'):,.10g} %"


def _share(value: float) -> str:
    return f"{number(100 * value)} %"
