"""Share of workloads on which the kernel is at least so many times as fast as its strongest baseline."""

from collections.abc import Sequence

from validation.report.charts.style import CANDIDATE, HALF_WIDTH, INK, MUTED, SMALL, Chart, chart_of, drawing
from validation.report.charts.ticks import log_ticks

_HEIGHT = 1.75


def workload_share(speedups: Sequence[float], *, alt: str, caption: str) -> Chart:
    """Draws the falling step curve of the speedups, one per workload; ratios are shown and never averaged."""
    ordered = sorted(speedups)
    with drawing(HALF_WIDTH, _HEIGHT) as figure:
        ax = figure.add_axes(
            (0.55 / HALF_WIDTH, 0.42 / _HEIGHT, (HALF_WIDTH - 0.65) / HALF_WIDTH, (_HEIGHT - 0.5) / _HEIGHT)
        )
        low, high = min(ordered[0], 1) / 1.25, max(ordered[-1], 1) * 1.25
        xs, ys = [low], [1.0]
        for index, speedup in enumerate(ordered):
            xs += [speedup, speedup]
            ys += [1 - index / len(ordered), 1 - (index + 1) / len(ordered)]
        ax.plot([*xs, high], [*ys, 0], color=CANDIDATE, linewidth=1.8)
        ax.plot(
            ordered, [1 - index / len(ordered) for index in range(len(ordered))], "o", color=CANDIDATE, markersize=3.5
        )
        ax.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        ax.set_xscale("log")
        ax.set_xlim(low, high)
        ax.set_ylim(0, 1.06)
        ticks = log_ticks(low, high, HALF_WIDTH - 0.65, 0.35)
        ax.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
        ax.minorticks_off()
        ax.set_yticks([0, 0.5, 1], ["none", "half", "all"])
        ax.set_xlabel("at least so many times as fast as the strongest", fontsize=SMALL, color=MUTED)
        ax.set_ylabel("of the workloads", fontsize=SMALL, color=MUTED)
        return chart_of(figure, alt=alt, caption=caption)
