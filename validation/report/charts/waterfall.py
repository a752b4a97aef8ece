"""Signed waterfall on a logarithmic axis: what each step multiplies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from validation.report.charts.style import (
    CANDIDATE,
    HALF_WIDTH,
    INK,
    MUTED,
    PAGE_WIDTH,
    RULE,
    SMALL,
    Chart,
    chart_of,
    drawing,
    fit,
    time_label,
)
from validation.report.charts.ticks import log_ticks

#: Inches: names at the left, times at the right, on a whole line of the page and on half of one.
_WHOLE: Final = (PAGE_WIDTH, 2.3, 1.5)
_HALF: Final = (HALF_WIDTH, 1.5, 0.8)
_ROW: Final = 0.17
_WORSE = "#b3261e"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One variant and its time in microseconds; the first is where the ladder starts."""

    name: str
    time_us: float
    text: str
    candidate: bool = False


def waterfall(steps: Sequence[Step], *, alt: str, caption: str, half: bool = False) -> Chart:
    """Draws time after every step; a bar spans from the step before to this one, leftwards when it is faster.

    Args:
        steps: from the slowest.
        alt: the finding in a sentence.
        caption: what stands below the figure.
        half: half a line wide, where two stand abreast.
    """
    width, left, right = _HALF if half else _WHOLE
    height = 0.1 + _ROW * len(steps) + 0.35
    with drawing(width, height) as figure:
        ax = figure.add_axes((left / width, 0.4 / height, (width - left - right) / width, _ROW * len(steps) / height))
        ax.set_xscale("log")
        times = [step.time_us for step in steps]
        ax.set_xlim(min(times) / 1.3, max(times) * 1.3)
        ax.set_ylim(len(steps) - 0.5, -0.5)
        for index, step in enumerate(steps):
            before = times[index - 1] if index else step.time_us
            if index:
                ax.plot([before, before], [index - 1, index], color=RULE, linewidth=0.8, zorder=1)
                colour = CANDIDATE if step.time_us <= before else _WORSE
                ax.plot(
                    [before, step.time_us], [index, index], color=colour, linewidth=5, solid_capstyle="butt", zorder=2
                )
            ax.plot([step.time_us], [index], "|", color=INK, markersize=8, mew=1.4, zorder=3)
            ax.text(
                -0.02,
                index,
                fit(step.name, left - 0.06, SMALL, bold=step.candidate),
                transform=ax.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=SMALL,
                weight=600 if step.candidate else 400,
            )
            ax.text(
                1.02,
                index,
                fit(step.text, right - 0.04, SMALL),
                transform=ax.get_yaxis_transform(),
                va="center",
                fontsize=SMALL,
            )
        ax.set_yticks([])
        ax.minorticks_off()
        ticks = log_ticks(*ax.get_xlim(), width - left - right, 0.5)
        ax.set_xticks(ticks, [time_label(tick) for tick in ticks])
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("time of one call, logarithmic: a bar to the left is faster", fontsize=SMALL, color=MUTED)
        return chart_of(figure, alt=alt, caption=caption)
