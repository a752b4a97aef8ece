"""The page in a real browser: Debian's Chromium, driven by Playwright, with axe-core for accessibility."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.report.builders import hostile, material
from tests.report.test_html import HOSTILE
from tests.synthetic import evidence, gpu_evidence
from validation.performance.figure import Figure
from validation.report.document import compose
from validation.report.html import render

pytestmark = pytest.mark.usefixtures("tools")

DESK: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
ROWS = "#findings tbody tr:not(.open)"
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # The sandbox needs a user namespace, which a container's root has not.
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"], chromium_sandbox=False
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def two_machines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with two machines and a figure beside the calls."""
    figure = Figure(name="demo-s", workload="demo", samples=(101.0, 99.0, 104.0, 100.0, 98.0), method="wall clock")
    path = tmp_path_factory.mktemp("two") / "report.html"
    made = material(evidence().model_copy(update={"figures": (figure,)}), gpu_evidence())
    path.write_text(render(compose(made), "screen"))
    return path


def opened(browser: Browser, path: Path, size: ViewportSize = DESK, scheme: Scheme = "light") -> tuple[Page, list[str]]:
    """The page, and what it complained of or asked for."""
    page = browser.new_page(viewport=size, color_scheme=scheme)
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: told.append(request.url) if not request.url.startswith("data:") else None)
    page.goto(path.as_uri())
    return page, [line for line in told if line != path.as_uri()]


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


def test_the_page_complains_of_nothing_and_asks_for_nothing(browser: Browser, two_machines: Path) -> None:
    page, told = opened(browser, two_machines)
    page.locator("button.samples").first.click()
    assert told == []
    page.close()


def test_a_page_that_asks_for_something_is_noticed(browser: Browser, two_machines: Path, tmp_path: Path) -> None:
    asking = two_machines.read_text().replace("</main>", "<img alt='' src='other.png'></main>")
    (tmp_path / "report.html").write_text(asking)
    page, told = opened(browser, tmp_path / "report.html")
    assert told
    page.close()


def test_the_filter_keeps_rows_with_all_words(browser: Browser, two_machines: Path) -> None:
    page, _ = opened(browser, two_machines)
    page.get_by_label("Filter findings").fill("numpy-speedup impossible")
    shown = page.locator(f"{ROWS}:visible").all_inner_texts()
    assert shown
    assert all("numpy-speedup" in text and "impossible" in text for text in shown)
    assert len(shown) < page.locator(ROWS).count()
    assert page.locator("#shown").inner_text() == f"{len(shown)} of {page.locator(ROWS).count()}"
    page.get_by_label("Filter findings").fill("h200-host")
    assert page.locator(f"{ROWS}:visible").count() > 0
    page.close()


def test_a_click_on_a_column_sorts_by_it_and_a_second_one_the_other_way(browser: Browser, two_machines: Path) -> None:
    page, _ = opened(browser, two_machines)
    for order in ("ascending", "descending"):
        page.get_by_role("button", name="Required").click()
        values = [float(row.get_attribute("data-required") or "") for row in page.locator(ROWS).all()]
        assert values == sorted(values, reverse=order == "descending")
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == order
    page.get_by_role("button", name="Finding").click()
    numbers = [int(text.split(".")[0]) for text in page.locator(f"{ROWS} th").all_inner_texts()]
    assert numbers == sorted(numbers)
    assert numbers[-1] > 10
    page.get_by_role("button", name="Measured").click()
    measured = [text for row in page.locator(ROWS).all() if (text := row.get_attribute("data-estimate"))]
    assert [float(text) for text in measured] == sorted(float(text) for text in measured)
    page.close()


def test_each_finding_that_was_measured_opens_its_samples(browser: Browser, two_machines: Path) -> None:
    page, _ = opened(browser, two_machines)
    measured = page.locator(f"{ROWS}:not([data-estimate=''])")
    assert measured.count() > 10
    for row in measured.all():
        button = row.locator("button.samples")
        button.click()
        assert button.get_attribute("aria-expanded") == "true"
        opened_row = page.locator("tr.open")
        sides = 2 if row.get_attribute("data-baseline") else 1
        assert opened_row.locator("svg").count() == sides, row.inner_text()
        assert opened_row.locator("circle").count() >= 5 * sides
        button.click()
        assert page.locator("tr.open").count() == 0
    page.close()


def test_rejected_samples_are_marked_and_counted(browser: Browser, two_machines: Path) -> None:
    page, _ = opened(browser, two_machines)
    page.locator("button.samples").first.click()
    told = page.locator("tr.open .strip-name").first.inner_text()
    found = re.search(r"([1-9]\d*) rejected", told)
    assert found, told
    strip = page.locator("tr.open svg").first
    hollow, full = strip.locator("circle[fill=none]").count(), strip.locator("circle:not([fill=none])").count()
    assert 0 < hollow < full
    page.close()


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_needs_no_sideways_scrolling(browser: Browser, two_machines: Path, width: int) -> None:
    page, _ = opened(browser, two_machines, {"width": width, "height": 844})
    assert overflow(page) <= 0
    page.locator("button.samples").first.click()
    assert overflow(page) <= 0
    page.close()


def test_a_table_that_is_too_wide_for_a_phone_is_noticed(browser: Browser, two_machines: Path, tmp_path: Path) -> None:
    wide = two_machines.read_text().replace("</main>", "<p style='white-space: nowrap'>" + "wide " * 40 + "</p></main>")
    (tmp_path / "report.html").write_text(wide)
    page, _ = opened(browser, tmp_path / "report.html", PHONE)
    assert overflow(page) > 0
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_no_violation(browser: Browser, two_machines: Path, size: ViewportSize, scheme: Scheme) -> None:
    page, _ = opened(browser, two_machines, size, scheme)
    page.locator("button.samples").first.click()
    assert violations(page) == []
    page.close()


def test_axe_notices_grey_on_grey(browser: Browser, two_machines: Path, tmp_path: Path) -> None:
    pale = two_machines.read_text().replace("--muted: #545d69", "--muted: #b0b4ba")
    (tmp_path / "report.html").write_text(pale)
    page, _ = opened(browser, tmp_path / "report.html")
    assert any(line.startswith("color-contrast") for line in violations(page))
    page.close()


def test_hostile_text_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(compose(material(claims=(hostile(" ".join(HOSTILE)),))), "screen"))
    page, told = opened(browser, path)
    assert told == []
    assert page.title().startswith("MoE kernel validation report")
    assert page.locator("main").is_visible()
    assert overflow(page) <= 0
    page.close()


def test_on_paper_nothing_is_left_that_needs_a_screen(browser: Browser, two_machines: Path) -> None:
    page, _ = opened(browser, two_machines)
    page.emulate_media(media="print")
    assert not page.locator("#filter").is_visible()
    assert page.locator(ROWS).first.is_visible()
    page.close()
