"""Horizontal bars: the share of the hardware's limit that each implementation reaches."""

from collections.abc import Sequence
from dataclasses import dataclass

from validation.report.charts.style import (
    BESIDE,
    BEYOND,
    CANDIDATE,
    HALF_WIDTH,
    INK,
    SMALL,
    Chart,
    chart_of,
    drawing,
    fit,
)

_LEFT, _RIGHT, _ROW = 1.46, 0.5, 0.14


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One implementation: its share (1 is the limit) and the text behind the bar."""

    name: str
    share: float
    text: str
    candidate: bool


def floor_bars(bars: Sequence[Bar], *, alt: str, caption: str) -> Chart:
    """Draws the bars on an axis that ends at the limit, or beyond it where one is (a fault of the measurement)."""
    height = 0.36 + _ROW * len(bars)
    with drawing(HALF_WIDTH, height) as figure:
        ax = figure.add_axes(
            (_LEFT / HALF_WIDTH, 0.3 / height, (HALF_WIDTH - _LEFT - _RIGHT) / HALF_WIDTH, _ROW * len(bars) / height)
        )
        end = max(1.0, *(bar.share for bar in bars))
        ax.set_xlim(0, end * 1.001)
        ax.set_ylim(len(bars) - 0.5, -0.5)
        for index, bar in enumerate(bars):
            ax.barh(index, 1, height=0.62, color=BEYOND, linewidth=0)
            ax.barh(index, bar.share, height=0.62, color=CANDIDATE if bar.candidate else BESIDE, linewidth=0)
            ax.text(
                -0.02,
                index,
                fit(bar.name, _LEFT - 0.06, SMALL, bold=bar.candidate),
                transform=ax.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=SMALL,
                weight=600 if bar.candidate else 400,
            )
            ax.text(
                1.02,
                index,
                fit(bar.text, _RIGHT - 0.04, SMALL),
                transform=ax.get_yaxis_transform(),
                va="center",
                fontsize=SMALL,
            )
        ax.axvline(1, color=INK, linewidth=1.1)
        ax.set_yticks([])
        # Beyond twice the limit the labels below it would touch each other.
        between = [0.5] if end < 2 else []  # noqa: PLR2004 - as above
        ax.set_xticks([0, *between, 1], ["0", *(f"{100 * share:.0f} %" for share in between), "the limit"])
        ax.grid(visible=False)
        ax.spines["left"].set_visible(False)
        return chart_of(figure, alt=alt, caption=caption)
