"""Every letter of every chart stands inside its figure, touches no other, and can be read."""

import random
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from itertools import combinations

import pytest

from tests.report.test_charts import rows
from validation.report.charts.bars import Bar, floor_bars
from validation.report.charts.contributions import Contribution, contributions
from validation.report.charts.forest import forest
from validation.report.charts.quantiles import QuantileLine, quantiles
from validation.report.charts.roofline import RooflinePoint, roofline
from validation.report.charts.style import SMALL, Chart, text_width
from validation.report.charts.waterfall import Step, waterfall
from validation.report.charts.workload_share import workload_share

LONG = "torch_grouped_mm_compiled"
#: Points that letters may overlap: the box of a word is higher than its ink, which has no accents here.
TOUCH = 1.6


@dataclass(frozen=True)
class Word:
    """One text of a chart: its box in points, y downwards, and its size."""

    text: str
    size: float
    left: float
    top: float
    right: float
    bottom: float


def words(chart: Chart) -> tuple[list[Word], float, float]:
    """Every text of the chart, and the chart's width and height."""
    root = ET.fromstring(chart.paper)  # noqa: S314 - our own drawing
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    return [word(node) for node in root.iter() if node.tag.endswith("}text") and node.text], width, height


def word(node: ET.Element) -> Word:
    style, text = node.attrib["style"], node.text or ""
    found = re.search(r"([\d.]+)px", style)
    assert found, style
    size = float(found[1])
    wide = text_width(text, size, bold="600" in style) * 72
    place = re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", node.attrib.get("transform", ""))
    x, y = (float(place[1]), float(place[2])) if place else (float(node.attrib["x"]), float(node.attrib["y"]))
    before = wide * (0.5 if "anchor: middle" in style else 1.0 if "anchor: end" in style else 0.0)
    up, down = 0.75 * size, 0.22 * size
    if "rotate(-90" in node.attrib.get("transform", ""):
        return Word(text, size, x - up, y - (wide - before), x + down, y + before)
    return Word(text, size, x - before, y - up, x - before + wide, y + down)


def faults(chart: Chart) -> list[str]:
    found, width, height = words(chart)
    told = [f"{one.text!r} has {one.size} pt" for one in found if one.size < SMALL]
    told += [
        f"{one.text!r} leaves the figure"
        for one in found
        if one.left < -0.5 or one.top < -0.5 or one.right > width + 0.5 or one.bottom > height + 0.5
    ]
    return told + [
        f"{a.text!r} touches {b.text!r}"
        for a, b in combinations(found, 2)
        if min(a.right, b.right) - max(a.left, b.left) > TOUCH and min(a.bottom, b.bottom) - max(a.top, b.top) > TOUCH
    ]


@pytest.mark.parametrize(("number", "spread"), [(1, 1.0), (3, 1e4), (24, 1.0), (60, 3.0)])
def test_a_forest_is_readable(number: int, spread: float) -> None:
    made = rows(number, "a claim of a most remarkable kernel that is longer than its room " * 2)
    wide = [row.__class__(**{**fields(row), "claim": 1.2 * spread ** (i / 7 % 1)}) for i, row in enumerate(made)]
    assert faults(forest(wide, axis="speedup over the named baseline", unit="×", alt="a", caption="c")) == []


def fields(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__class__.__dataclass_fields__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [1, 5, 13, 60])
@pytest.mark.parametrize("beyond", [1.0, 3.4])
def test_bars_are_readable(number: int, beyond: float) -> None:
    made = [Bar(name=f"{LONG}_{i}", share=beyond / (i + 1), text="0.00443 %", candidate=i == 0) for i in range(number)]
    assert faults(floor_bars(made, alt="a", caption="c")) == []


@pytest.mark.parametrize("number", [1, 5, 60])
@pytest.mark.parametrize("most", [1.02, 3.0, 2e3])
def test_contributions_are_readable(number: int, most: float) -> None:
    parts = [
        Contribution(name=f"its {LONG} {i}", ratio=(r := most ** (i / number)), interval=(r, r * 1.1), text="1.17×")
        for i in range(number)
    ]
    assert faults(contributions(parts, alt="a", caption="c")) == []


@pytest.mark.parametrize("number", [1, 2, 6])
@pytest.mark.parametrize(("middle", "spread"), [(10.0, 1.001), (5_000.0, 3.0), (8e6, 500.0)])
@pytest.mark.parametrize("calls", [3, 2_000])
def test_quantiles_are_readable(number: int, middle: float, spread: float, calls: int) -> None:
    drawn = random.Random(0)
    lines = [
        QuantileLine(
            name=f"{LONG}{i}",
            calls_us=[middle * spread ** (i / 3) * drawn.lognormvariate(0, 0.1) for _ in range(calls)],
            candidate=i == 0,
        )
        for i in range(number)
    ]
    assert faults(quantiles(lines, alt="a", caption="c")) == []


@pytest.mark.parametrize("number", [1, 7, 60])
@pytest.mark.parametrize("peak", [234e9, 8.06e14])
def test_a_roofline_is_readable(number: int, peak: float) -> None:
    points = [
        RooflinePoint(name=LONG, intensity=0.5 * 3 ** (i % 9), flop_per_s=peak / 3 ** (i % 5), candidate=i % 2 == 0)
        for i in range(number)
    ]
    assert (
        faults(roofline(points, peak=peak, bandwidths=(("L1", peak), ("DRAM", peak / 30)), alt="a", caption="c")) == []
    )


@pytest.mark.parametrize("speedups", [[1.1], [0.9, 1.1, 1.3], [0.02, 1.0, 640.0], [1 + i / 60 for i in range(60)]])
def test_a_share_of_workloads_is_readable(speedups: list[float]) -> None:
    assert faults(workload_share(speedups, alt="a", caption="c")) == []


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("number", "factor"), [(1, 1.5), (2, 1.01), (13, 1.5), (60, 1.01)])
def test_a_waterfall_is_readable(number: int, factor: float, half: bool) -> None:  # noqa: FBT001 - a parameter
    steps = [
        Step(name=f"{LONG}_{i}", time_us=8e6 / factor**i, text="131 µs, 2.60×", candidate=i == number - 1)
        for i in range(number)
    ]
    assert faults(waterfall(steps, half=half, alt="a", caption="c")) == []


def test_words_that_touch_leave_the_figure_or_are_too_small_are_noticed() -> None:
    good = floor_bars([Bar(name="mojo", share=0.9, text="90 %", candidate=True)], alt="a", caption="c")
    for old, new in (("px 'IBM", ".0px 'IBM"), ("7px", "6.9px"), ("7px", "70px")):
        broken = Chart(paper=good.paper.replace(old, new), screen="", alt="a", caption="c")
        assert bool(faults(broken)) == (new != ".0px 'IBM"), new
