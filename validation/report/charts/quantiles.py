"""Latency by quantile: the tail is seen where a mean hides it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from validation.report.charts.style import (
    CANDIDATE,
    HALF_WIDTH,
    INK,
    MUTED,
    SMALL,
    Chart,
    chart_of,
    drawing,
    fit,
    time_label,
)

_LEFT, _RIGHT, _HEIGHT = 0.72, 1.44, 1.65
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1)), (0, (1, 1, 4, 1)))
_POINTS = 400
#: Shares of calls that are slower, in the order in which they are wanted where not all have room.
_TICKS: Final = {0.5: "p50", 0.05: "p95", 0.01: "p99", 0.001: "p99.9", 0.1: "p90"}
#: Inches from one label to the next.
_APART: Final = 0.33


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileLine:
    """One implementation's calls, in microseconds."""

    name: str
    calls_us: Sequence[float]
    candidate: bool


def quantiles(lines: Sequence[QuantileLine], *, alt: str, caption: str) -> Chart:
    """Draws latency over the share of calls that are slower, on logarithmic axes; labels stand beside the ends."""
    with drawing(HALF_WIDTH, _HEIGHT) as figure:
        ax = figure.add_axes(
            (_LEFT / HALF_WIDTH, 0.22 / _HEIGHT, (HALF_WIDTH - _LEFT - _RIGHT) / HALF_WIDTH, (_HEIGHT - 0.32) / _HEIGHT)
        )
        most = max(len(line.calls_us) for line in lines)
        least_share = 1 / (2 * most)
        ends = []
        for index, line in enumerate(lines):
            shares = np.geomspace(0.5, max(1 / (2 * len(line.calls_us)), 1e-4), _POINTS)
            values = np.quantile(np.asarray(line.calls_us), 1 - shares)
            colour = CANDIDATE if line.candidate else (INK if index % 2 else MUTED)
            ax.plot(
                shares,
                values,
                color=colour,
                linestyle=_DASHES[index % len(_DASHES)],
                linewidth=1.8 if line.candidate else 1.1,
            )
            ends.append((float(values[-1]), line, colour))
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlim(0.5, max(least_share, 1e-4))
        shown = _share_ticks(max(least_share, 1e-4))
        ax.set_xticks(shown, [_TICKS[share] for share in shown])
        ax.minorticks_off()
        low, high = ax.get_ylim()
        ax.set_yticks(*_time_ticks(low, high))
        ax.set_ylabel("time of one call", fontsize=SMALL, color=MUTED)
        _label_ends(ax, ends)
        return chart_of(figure, alt=alt, caption=caption)


def _share_ticks(end: float) -> list[float]:
    """The wanted shares of an axis from 0.5 to `end` whose labels do not touch."""
    width = HALF_WIDTH - _LEFT - _RIGHT
    at = {share: np.log(0.5 / share) / np.log(0.5 / end) * width for share in _TICKS if share >= end}
    kept: list[float] = []
    for share, place in at.items():
        if all(abs(place - at[other]) >= _APART for other in kept):
            kept.append(share)
    return kept


def _time_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        values = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(values) <= 7:  # noqa: PLR2004 - as many labels as 1.7 inches hold apart
            break
    if len(values) < 3:  # noqa: PLR2004 - too few to read a value off: the range is short, so even steps will do
        values = [float(value) for value in MaxNLocator(5).tick_values(low, high) if low <= value <= high]
    return values, [time_label(value) for value in values]


def _label_ends(ax: Axes, ends: list[tuple[float, QuantileLine, str]]) -> None:
    """Labels are pushed apart until none touches the next: 0.13 inches of a 1.75-inch axis."""
    low, high = np.log10(ax.get_ylim())
    step = 0.125 / (_HEIGHT - 0.32)
    placed: list[float] = []
    for value, _, _ in sorted(ends, key=lambda end: end[0]):
        at = (np.log10(value) - low) / (high - low)
        at = max(at, placed[-1] + step) if placed else max(at, 0.0)
        placed.append(at)
    shift = max(0.0, placed[-1] - 1.0)
    for at, (_, line, colour) in zip(placed, sorted(ends, key=lambda end: end[0]), strict=True):
        ax.text(
            1.02,
            at - shift,
            fit(line.name, _RIGHT - 0.06, SMALL, bold=line.candidate),
            transform=ax.transAxes,
            va="center",
            fontsize=SMALL,
            color=colour,
            weight=600 if line.candidate else 400,
        )
