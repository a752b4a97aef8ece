"""Signed contributions: how many times as long a call takes when one part of the kernel is taken away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from validation.report.charts.style import CANDIDATE, INK, MUTED, PAGE_WIDTH, SMALL, Chart, chart_of, drawing, fit
from validation.report.charts.ticks import log_ticks

_LEFT, _RIGHT, _ROW = 2.6, 1.6, 0.18
_HURTS: Final = "#d9705f"
#: The axis goes at least this far to both sides, so that noise of a percent does not look like an effect.
_LEAST: Final = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One part taken away: time without it over time with it; above 1 the part makes the kernel faster."""

    name: str
    ratio: float
    interval: tuple[float, float] | None
    text: str


def contributions(parts: Sequence[Contribution], *, alt: str, caption: str) -> Chart:
    """Draws a bar from 1 to each ratio on a logarithmic axis: to the right what helps, to the left what hurts."""
    height = 0.5 + _ROW * len(parts)
    with drawing(PAGE_WIDTH, height) as figure:
        ax = figure.add_axes(
            (_LEFT / PAGE_WIDTH, 0.42 / height, (PAGE_WIDTH - _LEFT - _RIGHT) / PAGE_WIDTH, _ROW * len(parts) / height)
        )
        ends = [part.ratio for part in parts] + [end for part in parts for end in part.interval or ()]
        low, high = min([1 / _LEAST, *ends]) / 1.05, max([_LEAST, *ends]) * 1.05
        ax.set_xscale("log")
        ax.set_xlim(low, high)
        ax.set_ylim(len(parts) - 0.5, -0.5)
        for index, part in enumerate(parts):
            colour = CANDIDATE if part.ratio >= 1 else _HURTS
            ax.barh(index, part.ratio - 1, left=1, height=0.56, color=colour, linewidth=0)
            if part.interval is not None:
                ax.plot(part.interval, [index] * 2, color=INK, linewidth=1.2, solid_capstyle="butt")
            at = ax.get_yaxis_transform()
            name = fit(part.name, _LEFT - 0.2, SMALL)
            ax.text(-0.02, index, name, transform=at, ha="right", va="center", fontsize=SMALL)
            ax.text(1.02, index, fit(part.text, _RIGHT - 0.1, SMALL), transform=at, va="center", fontsize=SMALL)
        ax.axvline(1, color=INK, linewidth=1)
        ticks = log_ticks(low, high, PAGE_WIDTH - _LEFT - _RIGHT, 0.35)
        ax.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
        ax.minorticks_off()
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("time without the part over time with it, logarithmic", fontsize=SMALL, color=MUTED)
        return chart_of(figure, alt=alt, caption=caption)
