"""The forest plots of page 1: strict readings that were measured or are bounded by physics."""

import math
from collections.abc import Sequence
from typing import Final

from validation.report.charts.forest import ForestRow, forest
from validation.report.charts.style import Chart, text_width
from validation.report.quantity import claimed, measured
from validation.report.text import printable
from validation.report.view import FindingView
from validation.report.words import count
from validation.verdicts.verdict import Verdict

#: Millimetres that page 1 has for its sentences, its rows and its machines, as print.css sets the rest of it.
_ROOM: Final = 130.0
_ROW: Final = 0.27 * 25.4
#: Size in points, height and width of a line in millimetres: of the conclusion, and of a machine's name and record.
_SENTENCES: Final = (9.4, 4.58, 174.0)
_MACHINES: Final = (7.8, 3.8, 150.0)
_FEWEST_ROWS: Final = 3
#: Rows of one figure that fit a page.
PAGE_ROWS: Final = 24


def page_one_rows(sentences: Sequence[str], machines: Sequence[str]) -> int:
    """Returns how many rows page 1 has room for beside these paragraphs; the others follow in section 2."""
    taken = sum(_height(text, *_SENTENCES) for text in sentences) + sum(_height(text, *_MACHINES) for text in machines)
    return max(math.floor((_ROOM - taken) / _ROW), _FEWEST_ROWS)


def _height(text: str, size: float, line: float, width: float) -> float:
    """Millimetres of a paragraph; 4 % of every line is left for the word that has no room on it."""
    return line * math.ceil(text_width(printable(text), size) * 25.4 / (0.96 * width))


def headline_rows(views: Sequence[FindingView]) -> tuple[FindingView, ...]:
    """Returns the strict readings worth drawing: measured ones, and those that physics alone decides."""
    return tuple(
        view
        for view in views
        if view.finding.strict and (view.finding.estimate is not None or view.finding.verdict is Verdict.IMPOSSIBLE)
    )


def headline_charts(views: Sequence[FindingView], titles: dict[str, str], *, several: bool) -> tuple[Chart, ...]:
    """Returns one forest plot of speedups and one of all else, divided by what was claimed, cut to a page each."""
    speedups = [view for view in views if view.finding.metric == "speedup"]
    others = [view for view in views if view.finding.metric != "speedup"]
    charts = [
        forest(
            [_row(view, titles, several=several, relative=False) for view in part],
            axis="speedup over the named baseline, logarithmic; dashed: equally fast",
            unit="×",
            alt=_alt(part),
            caption="Speedups: measured, claimed, and the most the hardware allows.",
        )
        for part in _pages(speedups)
    ]
    charts += [
        forest(
            [_row(view, titles, several=several, relative=True) for view in part],
            axis="value divided by the claimed value, logarithmic; dashed: exactly as claimed",
            unit="×",
            alt=_alt(part),
            caption="Rates, times and shares, divided by what was claimed.",
            key=number > 0 or not speedups,
        )
        for number, part in enumerate(_pages(others))
    ]
    return tuple(charts)


def _pages(views: Sequence[FindingView]) -> list[Sequence[FindingView]]:
    return [views[start : start + PAGE_ROWS] for start in range(0, len(views), PAGE_ROWS)]


def _row(view: FindingView, titles: dict[str, str], *, several: bool, relative: bool) -> ForestRow:
    finding = view.finding
    scale = finding.required if relative else 1.0
    against = f" over {finding.baseline}" if finding.baseline else ""
    where = f", on {view.letter}" if several else ""
    return ForestRow(
        name=titles.get(finding.claim, finding.claim),
        detail=f"claimed {claimed(finding)}{against}{where}",
        estimate=None if finding.estimate is None else finding.estimate / scale,
        interval=None if finding.interval is None else (finding.interval[0] / scale, finding.interval[1] / scale),
        claim=finding.required / scale,
        limit=None if finding.limit is None else finding.limit / scale,
        less_is_better=finding.comparison == "at_most",
        figures="not measured" if finding.estimate is None else measured(finding),
        mark=view.mark,
    )


def _alt(views: Sequence[FindingView]) -> str:
    told = "; ".join(
        f"{view.finding.claim}: {view.mark.word}, measured {view.measured.replace('–', 'nothing')}, claimed "
        f"{claimed(view.finding)}, limit {view.limit.replace('–', 'not known')}"
        for view in views
    )
    return f"Forest plot of {count(len(views), 'headline reading')}. {told}."
