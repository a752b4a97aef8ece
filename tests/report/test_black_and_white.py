"""Every chart says the same without colours: what differs in colour differs in shape or in lightness too."""

import random
import re
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest

from tests.report.test_charts import rows
from validation.report.charts.bars import Bar, floor_bars
from validation.report.charts.contributions import Contribution, contributions
from validation.report.charts.forest import forest
from validation.report.charts.quantiles import QuantileLine, quantiles
from validation.report.charts.roofline import RooflinePoint, roofline
from validation.report.charts.style import CANDIDATE, Chart
from validation.report.charts.waterfall import Step, waterfall
from validation.report.charts.workload_share import workload_share
from validation.report.mark import MARKS

#: Two greys of one chart are told apart from this ratio on; white to black, 21, holds eleven such steps.
CONTRAST = 1.3


def luminance(colour: str) -> float:
    """The relative luminance of #rrggbb, as WCAG 2.2 defines it."""
    linear = []
    for at in (1, 3, 5):
        part = int(colour[at : at + 2], 16) / 255
        linear.append(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """WCAG's contrast ratio, 1 to 21."""
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def shapes(chart: Chart) -> dict[tuple[str, str], set[str]]:
    """The colours of each shape that stands in the chart: an outline, dashes and width, or an area."""
    root = ET.fromstring(chart.paper)  # noqa: S314 - our own drawing
    outlines = {
        node.attrib["id"]: re.sub(r"[\d.\s-]+", " ", node.attrib["d"]).strip() + f" of {len(node.attrib['d'])}"
        for node in root.iter()
        if node.tag.endswith("}path") and "id" in node.attrib
    }
    found: dict[tuple[str, str], set[str]] = {}
    for node in root.iter():
        style = dict(re.findall(r"([a-z-]+): ([^;]+)", node.attrib.get("style", "")))
        if node.tag.endswith("}use"):
            shape = outlines[node.attrib["{http://www.w3.org/1999/xlink}href"].removeprefix("#")]
            colour = style.get("fill") or style.get("stroke")
        elif node.tag.endswith("}path") and "id" not in node.attrib:
            filled = style.get("fill", "none") != "none"
            shape = "area" if filled else f"line {style.get('stroke-dasharray', '')}"
            colour = style["fill"] if filled else style.get("stroke")
        else:
            continue
        if colour and colour.startswith("#"):
            found.setdefault((shape, style.get("stroke-width", "")), set()).add(colour)
    return found


def confused(chart: Chart) -> list[str]:
    """Pairs of colours that stand in one shape and are one grey."""
    return [
        f"{shape}: {a} and {b}"
        for shape, colours in shapes(chart).items()
        for a, b in combinations(sorted(colours), 2)
        if contrast(a, b) < CONTRAST
    ]


def test_no_two_verdicts_have_the_same_mark() -> None:
    assert len({mark.marker for mark in MARKS.values()}) == len(MARKS)
    assert len({mark.glyph for mark in MARKS.values()}) == len(MARKS)


def test_a_forest_says_the_verdict_in_words_and_the_claim_by_its_width() -> None:
    chart = forest(rows(12, "claim"), axis="speedup", unit="×", alt="a", caption="c")
    assert confused(chart) == []
    assert all(mark.word in chart.paper for mark in {row.mark.word: row.mark for row in rows(12, "claim")}.values())


def test_the_candidates_bar_is_told_from_the_others() -> None:
    bars = [Bar(name=f"b{i}", share=0.9 / (i + 1), text="9 %", candidate=i == 0) for i in range(5)]
    assert confused(floor_bars(bars, alt="a", caption="c")) == []


def test_what_hurts_is_told_from_what_helps() -> None:
    parts = [Contribution(name="c", ratio=ratio, interval=None, text="1×") for ratio in (0.8, 1.2, 2.0)]
    assert confused(contributions(parts, alt="a", caption="c")) == []


def test_every_line_of_quantiles_has_its_own_dashes_or_lightness() -> None:
    drawn = random.Random(0)
    lines = [
        QuantileLine(
            name=f"q{i}", calls_us=[10 * 1.5**i * drawn.lognormvariate(0, 0.1) for _ in range(200)], candidate=i == 0
        )
        for i in range(6)
    ]
    chart = quantiles(lines, alt="a", caption="c")
    assert confused(chart) == []
    assert len([1 for shape, width in shapes(chart) if shape.startswith("line") and float(width or 1) > 1]) == len(
        lines
    )


def test_the_candidates_point_has_its_own_shape() -> None:
    points = [
        RooflinePoint(name="p", intensity=0.5 * 3**i, flop_per_s=2e11 / 3**i, candidate=i % 2 == 0) for i in range(4)
    ]
    bandwidths = (("L1", 234e9), ("DRAM", 8e9))
    assert confused(roofline(points, peak=234e9, bandwidths=bandwidths, alt="a", caption="c")) == []


@pytest.mark.parametrize(
    "chart",
    [
        workload_share([0.9, 1.1, 1.3], alt="a", caption="c"),
        waterfall(
            [Step(name="s", time_us=8.0 - i, text="1", candidate=i == 5) for i in range(6)], alt="a", caption="c"
        ),
    ],
    ids=["share", "waterfall"],
)
def test_a_chart_of_one_kernel_has_one_colour_a_shape(chart: Chart) -> None:
    assert confused(chart) == []


def test_two_colours_of_one_grey_are_noticed() -> None:
    bars = [Bar(name=f"b{i}", share=0.9 / (i + 1), text="9 %", candidate=i == 0) for i in range(2)]
    chart = floor_bars(bars, alt="a", caption="c")
    same = Chart(paper=chart.paper.replace("#8b949e", "#a83232"), screen="", alt="a", caption="c")
    assert contrast("#a83232", CANDIDATE) < CONTRAST
    assert confused(same)
