"""What a reading claims and what was measured of it, in a sentence's words."""

from typing import Final

from validation.claims.claim import Metric, Reading
from validation.performance.statistics import Estimate
from validation.verdicts.units import FIGURE, duration, interval, published, scaled, unit_of

_WHOLES: Final = {
    Metric.FLOOR_SHARE: " of the hardware's limit",
    Metric.BANDWIDTH_SHARE: " of memory's bandwidth",
}


def metric_name(reading: Reading) -> str:
    """Returns the metric as verdicts.json names it: `speedup`, `figure:demo-s`."""
    return f"{FIGURE}{reading.figure}" if reading.metric is Metric.FIGURE else str(reading.metric)


def amount(reading: Reading, value: float) -> str:
    """Returns `1.37×`, `101,000 tokens/s`, `91.2 % of the hardware's limit`."""
    return f"{scaled(_unit(reading), value)}{_WHOLES.get(reading.metric, '')}"


def bound(reading: Reading, value: float) -> str:
    """Returns a published number with the digits it was published with."""
    return published(_unit(reading), value)


def measured(reading: Reading, estimate: Estimate) -> str:
    """Returns `1.37× [1.36, 1.38]`."""
    ends = interval(_unit(reading), estimate.value, estimate.low, estimate.high)
    return f"{amount(reading, estimate.value)} {ends}"


def time_of(ns: float) -> str:
    """Returns a time in the unit that keeps it readable."""
    return duration(ns / 1e3)


def percent(share: float) -> str:
    """Returns `3 %`, `0.5 %`, `120 %`: two significant digits, never an exponent."""
    return f"{float(f'{100 * share:.2g}'):,.10g} %"


def _unit(reading: Reading) -> str:
    return unit_of(metric_name(reading), baseline=reading.baseline is not None)
