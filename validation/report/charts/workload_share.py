"""Share of workloads on which the kernel is at least so many times as fast as its strongest baseline."""

from collections.abc import Sequence

from validation.report.charts.style import CANDIDATE, INK, MUTED, PAGE_WIDTH, SMALL, Chart, chart_of, drawing

_HEIGHT = 1.9


def workload_share(speedups: Sequence[float], *, alt: str, caption: str) -> Chart:
    """Draws the falling step curve of the speedups, one per workload; ratios are shown and never averaged."""
    ordered = sorted(speedups)
    with drawing(PAGE_WIDTH, _HEIGHT) as figure:
        ax = figure.add_axes(
            (0.7 / PAGE_WIDTH, 0.42 / _HEIGHT, (PAGE_WIDTH - 0.9) / PAGE_WIDTH, (_HEIGHT - 0.5) / _HEIGHT)
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
        steps = [value for value in (0.1, 0.2, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50, 100) if low <= value <= high]
        ax.set_xticks(steps, [f"{step:g}×" for step in steps])
        ax.minorticks_off()
        ax.set_yticks([0, 0.5, 1], ["none", "half", "all"])
        ax.set_xlabel("at least so many times as fast as the strongest baseline", fontsize=SMALL, color=MUTED)
        ax.set_ylabel("of the workloads", fontsize=SMALL, color=MUTED)
        return chart_of(figure, alt=alt, caption=caption)
