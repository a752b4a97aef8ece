from dataclasses import replace

import pytest

from validation.implementations.menu import KNOWN
from validation.implementations.menu_cuda import GPU_FORMS
from validation.report.charts import bars, quantiles
from validation.report.charts.bars import Bar, floor_bars
from validation.report.charts.contributions import Contribution, contributions
from validation.report.charts.forest import ForestRow, _span, forest
from validation.report.charts.roofline import RooflinePoint, roofline
from validation.report.charts.style import BEYOND, SMALL, fit, text_width
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


@pytest.mark.parametrize("number", [1, 24])
def test_a_forest_of_any_height_is_vector(number: int) -> None:
    svg = forest(rows(number), axis="x", unit="×", alt="a", caption="c").paper
    assert "<image" not in svg
    assert svg == forest(rows(number), axis="x", unit="×", alt="a", caption="c").paper


def test_one_noisy_interval_leaves_the_other_rows_their_room() -> None:
    noisy = [replace(row, interval=(1e-9, 1e9)) for row in rows(2)]
    low, high = _span([*rows(3), *noisy])
    assert 0.2 < low < 1
    assert 21 < high < 100


@pytest.mark.parametrize("text", ["$\\frac{1}{0}$ $", "--> <script>", "🚀 漢字 \x00\u202e", "W" * 5000, "", "]]>"])
def test_any_text_can_be_drawn(text: str) -> None:
    svg = forest(rows(2, text), axis=text, unit="", alt=text, caption=text).paper
    assert "<script" not in svg
    assert "\x00" not in svg


def test_a_long_name_is_cut_to_its_room() -> None:
    cut = fit("W" * 5000, 1.5, SMALL)
    assert cut.endswith("…")
    assert text_width(cut, SMALL) <= 1.5


@pytest.mark.parametrize("room", [quantiles._RIGHT - 0.06, bars._LEFT - 0.06])
def test_every_name_on_the_menus_has_room(room: float) -> None:
    assert [one.name for one in (*KNOWN, *GPU_FORMS.values()) if fit(one.name, room, SMALL) != one.name] == []


@pytest.mark.parametrize("number", [1, 5, 60])
def test_contributions_to_both_sides_are_vector(number: int) -> None:
    parts = [
        Contribution(name=f"part {i}", ratio=0.5 + i, interval=(0.4 + i, 0.7 + i), text="x") for i in range(number)
    ]
    assert "<image" not in contributions(parts, alt="a", caption="c").paper


def test_a_point_above_the_slower_roof_is_not_called_beyond_the_hardware() -> None:
    point = RooflinePoint(name="warm", intensity=0.5, flop_per_s=80e9, candidate=True)
    shown = {"peak": 234e9, "alt": "a", "caption": "c"}
    both = roofline([point], bandwidths=(("L1", 434e9), ("DRAM", 35e9)), **shown)  # type: ignore[arg-type]
    slow = roofline([point], bandwidths=(("DRAM", 35e9),), **shown)  # type: ignore[arg-type]
    grey = f"fill: {BEYOND}"
    assert grey in both.paper
    assert both.paper != slow.paper


def test_what_lies_beyond_the_limit_is_drawn_without_labels_that_touch() -> None:
    bars = [Bar(name="mojo", share=3.36, text="336 %", candidate=True)]
    near = [Bar(name="mojo", share=0.9, text="90 %", candidate=True)]
    far_svg, near_svg = (floor_bars(one, alt="a", caption="c").paper for one in (bars, near))
    assert far_svg.count('id="xtick_') == 2
    assert near_svg.count('id="xtick_') == 3


def test_every_verdict_has_its_own_word_and_glyph() -> None:
    assert set(MARKS) == set(Verdict)
    assert len({mark.word for mark in MARKS.values()}) == len(MARKS)
    assert len({mark.glyph for mark in MARKS.values()}) == len(MARKS)
