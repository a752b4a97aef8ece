import pytest

from validation.report.charts.forest import ForestRow, forest
from validation.report.charts.heatmap import heatmap
from validation.report.charts.style import SMALL, fit, text_width
from validation.report.mark import MARKS
from validation.verdicts.verdict import Verdict


def rows(number: int, name: str = "a claim") -> list[ForestRow]:
    mark = MARKS[Verdict.REFUTED]
    return [
        ForestRow(
            name=name,
            detail=name,
            estimate=1.4,
            interval=(1.3, 1.5),
            claim=7 * (i + 1),
            limit=1.6,
            figures=name,
            mark=mark,
        )
        for i in range(number)
    ]


@pytest.mark.parametrize("number", [1, 2, 24, 60])
def test_a_forest_of_any_height_is_vector(number: int) -> None:
    svg = forest(rows(number), axis="x", unit="×", alt="a", caption="c").svg
    assert "<image" not in svg
    assert svg == forest(rows(number), axis="x", unit="×", alt="a", caption="c").svg


@pytest.mark.parametrize("text", ["$\\frac{1}{0}$ $", "--> <script>", "🚀 漢字 \x00\u202e", "W" * 5000, "", "]]>"])
def test_any_text_can_be_drawn(text: str) -> None:
    svg = forest(rows(2, text), axis=text, unit="", alt=text, caption=text).svg
    assert "<script" not in svg
    assert "\x00" not in svg


def test_a_long_name_is_cut_to_its_room() -> None:
    cut = fit("W" * 5000, 1.5, SMALL)
    assert cut.endswith("…")
    assert text_width(cut, SMALL) <= 1.5


def test_a_cell_beyond_its_bound_is_named() -> None:
    chart = heatmap({("oracle", "T 1"): 12.0}, ["oracle"], ["T 1"], alt="a", caption="c")
    assert "12" in chart.svg


def test_every_verdict_has_its_own_word_and_glyph() -> None:
    assert set(MARKS) == set(Verdict)
    assert len({mark.word for mark in MARKS.values()}) == len(MARKS)
    assert len({mark.glyph for mark in MARKS.values()}) == len(MARKS)
