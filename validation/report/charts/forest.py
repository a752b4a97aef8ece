"""Forest plot: what was measured, what was claimed, and where the hardware ends, one row per reading."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from validation.report.charts.style import BEYOND, CLAIM, INK, MUTED, PAGE_WIDTH, SMALL, Chart, chart_of, drawing, fit
from validation.report.charts.ticks import log_ticks
from validation.report.mark import Mark
from validation.report.text import drawable
from validation.verdicts.units import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches: names at the left, figures at the right, rows between.
_LEFT: Final = 2.85
_RIGHT: Final = 1.85
_ROW: Final = 0.27
_TOP: Final = 0.26
_BOTTOM: Final = 0.36
_NAME_SIZE: Final = 7.8


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One reading. Values share one axis; `figures` is the text at the right, `limit` what the hardware allows."""

    name: str
    detail: str
    estimate: float | None
    interval: tuple[float, float] | None
    claim: float
    limit: float | None
    less_is_better: bool = False
    figures: str
    mark: Mark


def forest(  # noqa: PLR0913 - a figure and its words
    rows: Sequence[ForestRow], *, axis: str, unit: str, alt: str, caption: str, key: bool = True
) -> Chart:
    """Draws the rows top to bottom on a logarithmic axis with a dashed line at 1.

    Args:
        rows: at least one.
        axis: what the axis shows.
        unit: put behind every tick label.
        alt: the finding in a sentence.
        caption: what stands below the figure.
        key: whether the marks are explained above the rows.
    """
    height = (_TOP if key else 0.05) + _BOTTOM + _ROW * len(rows)
    with drawing(PAGE_WIDTH, height) as figure:
        ax = figure.add_axes(
            (
                _LEFT / PAGE_WIDTH,
                _BOTTOM / height,
                (PAGE_WIDTH - _LEFT - _RIGHT) / PAGE_WIDTH,
                _ROW * len(rows) / height,
            )
        )
        low, high = _span(rows)
        ax.set_xscale("log")
        ax.set_xlim(low, high)
        ax.set_ylim(-0.5, len(rows) - 0.5)
        ax.invert_yaxis()
        ticks = log_ticks(low, high, PAGE_WIDTH - _LEFT - _RIGHT, 0.42)
        ax.set_xticks(ticks, [f"{significant(tick, 1)}{unit}" for tick in ticks])
        ax.minorticks_off()
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        for index, row in enumerate(rows):
            _draw_row(ax, index, row, (low, high))
        ax.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1.5)
        ax.set_xlabel(drawable(axis), fontsize=SMALL, color=MUTED)
        if key:
            figure.legend(
                handles=_key(rows),
                loc="upper left",
                bbox_to_anchor=(0, 1),
                ncols=5,
                handlelength=1.6,
                columnspacing=1.6,
                borderaxespad=0,
                borderpad=0,
            )
        return chart_of(figure, alt=alt, caption=caption)


def _draw_row(ax: "Axes", index: int, row: ForestRow, span: tuple[float, float]) -> None:
    low, high = span
    if row.limit is not None:
        start, end = (low, row.limit) if row.less_is_better else (row.limit, high)
        if start < end:
            ax.fill_between([start, end], index - 0.5, index + 0.5, color=BEYOND, linewidth=0, zorder=0.5)
        ax.plot([row.limit] * 2, [index - 0.5, index + 0.5], color=INK, linewidth=1.1, zorder=2)
    ax.plot([row.claim] * 2, [index - 0.34, index + 0.34], color=CLAIM, linewidth=2.2, zorder=3, solid_capstyle="butt")
    if row.interval is not None:
        ends = [max(row.interval[0], low), min(row.interval[1], high)]
        ax.plot(ends, [index] * 2, color=row.mark.colour, linewidth=2.4, zorder=4, solid_capstyle="butt")
        for end, marker in zip(ends, ("<", ">"), strict=True):
            if end not in row.interval:
                ax.plot(end, index, marker, color=row.mark.colour, markersize=5, zorder=4, clip_on=False)
    if row.estimate is not None:
        ax.plot(
            row.estimate, index, row.mark.marker, color=row.mark.colour, markersize=6.5, zorder=5, mec="white", mew=0.5
        )
    left = -_LEFT / (PAGE_WIDTH - _LEFT - _RIGHT)
    name_width = _LEFT - 0.12
    name = fit(row.name, name_width, _NAME_SIZE, bold=True)
    ax.text(left, index - 0.2, name, transform=ax.get_yaxis_transform(), va="center", fontsize=_NAME_SIZE, weight=600)
    detail = fit(row.detail, name_width, SMALL)
    ax.text(left, index + 0.24, detail, transform=ax.get_yaxis_transform(), va="center", fontsize=SMALL, color=MUTED)
    verdict = f"{row.mark.glyph} {row.mark.word}"
    transform = ax.get_yaxis_transform()
    ax.text(1.04, index - 0.2, verdict, transform=transform, va="center", weight=600, color=row.mark.colour)
    ax.text(
        1.04, index + 0.24, fit(row.figures, _RIGHT - 0.12, SMALL), transform=transform, va="center", fontsize=SMALL
    )
    if index:
        ax.axhline(index - 0.5, color=BEYOND, linewidth=0.5, zorder=0.6, xmin=left, xmax=2, clip_on=False)


def _span(rows: Sequence[ForestRow]) -> tuple[float, float]:
    """The axis holds every value and 1, with a tenth of the decades to spare at both ends.

    Intervals may leave it, but for a factor of three: a single noisy one would leave the others no room.
    """
    values = [1.0]
    for row in rows:
        values += [row.claim, *(v for v in (row.estimate, row.limit) if v is not None)]
    ends = [end for row in rows for end in row.interval or ()]
    smallest, largest = min(values), max(values)
    low = math.log10(max(min([smallest, *ends]), smallest / 3))
    high = math.log10(min(max([largest, *ends]), largest * 3))
    spare = max(0.08 * (high - low), 0.06)
    return 10 ** (low - spare), 10 ** (high + spare)


def _key(rows: Sequence[ForestRow]) -> list[Line2D | Patch]:
    key: list[Line2D | Patch] = []
    if any(row.estimate is not None for row in rows):
        key.append(
            Line2D([], [], color=INK, marker="s", markersize=4.5, linewidth=2.2, label="measured, 95 % interval")
        )
    key.append(Line2D([], [], color=CLAIM, marker="|", markersize=9, mew=2.2, linewidth=0, label="claimed"))
    if any(row.limit is not None for row in rows):
        key.append(Patch(facecolor=BEYOND, edgecolor=INK, linewidth=0.8, label="beyond what the hardware allows"))
    return key
