"""Heat map of max(error / bound): discrete bands split at 1, the number in every cell."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap

from validation.report.charts.style import INK, PAGE_WIDTH, SMALL, Chart, drawing, fit, svg_of

#: Up to a tenth, a half, the bound itself; then a miss, and a miss beyond rounding.
_EDGES: Final = (-1.0, 0.1, 0.5, 1.0, 10.0, 1e300)
_BANDS: Final = ("#eef6f2", "#c9e4d8", "#97cdb6", "#f0b8a8", "#c9553f")
_LEFT: Final = 1.7
_ROW: Final = 0.2


def heatmap(
    cells: Mapping[tuple[str, str], float], rows: Sequence[str], columns: Sequence[str], *, alt: str, caption: str
) -> Chart:
    """Draws the largest error/bound of every (row, column); a cell without a value stays white."""
    values = np.array([[cells.get((row, column), np.nan) for column in columns] for row in rows])
    height = 0.35 + _ROW * len(rows)
    with drawing(PAGE_WIDTH, height) as figure:
        ax = figure.add_axes(
            (_LEFT / PAGE_WIDTH, 0.3 / height, (PAGE_WIDTH - _LEFT) / PAGE_WIDTH, _ROW * len(rows) / height)
        )
        ax.pcolormesh(
            np.ma.masked_invalid(values),
            cmap=ListedColormap(_BANDS),
            norm=BoundaryNorm(_EDGES, len(_BANDS)),
            edgecolors="white",
            linewidth=1.2,
        )
        for (row, column), value in np.ndenumerate(values):
            if not np.isnan(value):
                ax.text(
                    column + 0.5,
                    row + 0.5,
                    f"{value:.2f}" if value < 10 else f"{value:.2g}",  # noqa: PLR2004 - two decimals are enough to 10
                    ha="center",
                    va="center",
                    fontsize=SMALL,
                    color=INK if value <= 10 else "white",  # noqa: PLR2004 - the darkest band
                    weight=600 if value > 1 else 400,
                )
        ax.invert_yaxis()
        width = (PAGE_WIDTH - _LEFT) / max(len(columns), 1) - 0.05
        ax.set_xticks(np.arange(len(columns)) + 0.5, [fit(column, width, SMALL) for column in columns])
        ax.set_yticks(np.arange(len(rows)) + 0.5, [fit(row, _LEFT - 0.15, SMALL) for row in rows])
        ax.grid(visible=False)
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        return Chart(svg=svg_of(figure), alt=alt, caption=caption)
