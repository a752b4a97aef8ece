"""Roofline: rates under the ceilings that were measured in the same run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import NullLocator

from validation.report.charts.style import (
    BEYOND,
    CANDIDATE,
    HALF_WIDTH,
    INK,
    MUTED,
    SMALL,
    Chart,
    chart_of,
    drawing,
    fit,
)
from validation.verdicts.units import significant

_HEIGHT = 1.75
#: FLOP/s from which rates are told in TFLOP/s: five digits say no more than two.
_TERA = 1e13
_LEFT, _RIGHT = 0.55, 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RooflinePoint:
    """One implementation on one workload: FLOP per byte, and FLOP/s. The candidate's rate stands beside its name."""

    name: str
    intensity: float
    flop_per_s: float
    candidate: bool


def roofline(
    points: Sequence[RooflinePoint],
    *,
    peak: float,
    bandwidths: Sequence[tuple[str, float]],
    alt: str,
    caption: str,
) -> Chart:
    """Draws the points under min(peak, bandwidth x intensity); the candidate's are numbered and named at the right.

    Args:
        points: at least one.
        peak: FLOP/s.
        bandwidths: (level, byte/s), the fastest first: what lies above its roof is beyond the hardware, the slower
            levels' roofs are dashed.
        alt: the finding in a sentence.
        caption: what stands below the figure.
    """
    with drawing(HALF_WIDTH, _HEIGHT) as figure:
        ax = figure.add_axes(
            (_LEFT / HALF_WIDTH, 0.45 / _HEIGHT, (HALF_WIDTH - _LEFT - _RIGHT) / HALF_WIDTH, (_HEIGHT - 0.6) / _HEIGHT)
        )
        unit, per = ("TFLOP/s", 1e12) if peak >= _TERA else ("GFLOP/s", 1e9)
        ridges = [peak / rate for _, rate in bandwidths]
        low = min([*ridges, *(p.intensity for p in points)]) / 3
        high = max([*ridges, *(p.intensity for p in points)]) * 3
        xs = np.geomspace(low, high, 200)
        roof = np.minimum(peak, bandwidths[0][1] * xs)
        bottom = min([*(p.flop_per_s for p in points), peak / 10]) / 2
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlim(low, high)
        # A point above the roof is a fault of the measurement, and is shown as one.
        top = max(peak * 3, *(1.5 * p.flop_per_s for p in points))
        ax.set_ylim(bottom, top)
        ax.fill_between(xs, roof, top, color=BEYOND, linewidth=0, zorder=0.5)
        ax.plot(xs, roof, color=INK, linewidth=1.3)
        for level, rate in bandwidths[1:]:
            ax.plot([low, peak / rate], [rate * low, peak], color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
            # Where the slower roof leaves the axes at the bottom, its name would too: it stands a third of the way up.
            at = max(low, bottom / rate) ** 0.6 * (peak / rate) ** 0.4
            ax.annotate(level, (at, rate * at), (3, -7), textcoords="offset points", fontsize=SMALL, color=MUTED)
        ax.text(high / 1.1, peak * 1.25, f"measured peak {significant(peak / per)} {unit}", ha="right", fontsize=SMALL)
        for point in points:
            if not point.candidate:
                ax.plot(point.intensity, point.flop_per_s, "o", color=MUTED, markersize=3, mfc="none", mew=0.8)
        named = sorted((p for p in points if p.candidate), key=lambda p: -p.flop_per_s)
        for index, point in enumerate(named, 1):
            ax.plot(point.intensity, point.flop_per_s, "s", color=CANDIDATE, markersize=8.5)
            ax.text(
                point.intensity,
                point.flop_per_s,
                str(index),
                ha="center",
                va="center_baseline",
                fontsize=SMALL,
                color="white",
                weight=600,
            )
            ax.text(
                1.03,
                1 - 0.09 * (index - 0.5),
                fit(f"{index}  {point.name}: {significant(point.flop_per_s / per)}", _RIGHT - 0.06, SMALL),
                transform=ax.transAxes,
                va="center",
                fontsize=SMALL,
            )
            if index == 9:  # noqa: PLR2004 - as many names as the height holds; all are in the table
                break
        if any(not p.candidate for p in points):
            ax.text(1.03, 0.02, "o  baselines", transform=ax.transAxes, fontsize=SMALL, color=MUTED)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value / per:,g}")
        ax.set_xlabel("FLOP per byte of weights, tokens, outputs", fontsize=SMALL, color=MUTED)
        ax.set_ylabel(unit, fontsize=SMALL, color=MUTED)
        return chart_of(figure, alt=alt, caption=caption)
