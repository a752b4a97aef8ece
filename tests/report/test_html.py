import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.report.builders import claims_source, material
from validation.claims.load import EXAMPLE_CLAIMS, parse_claims
from validation.report.document import compose
from validation.report.html import render
from validation.report.material import ClaimsSource
from validation.report.pdf import write_pdf

HOSTILE = (
    "<script>document.title='owned'</script>",
    "{{ 7 * 7 }}{% raw %}",
    "</style><style>*{display:none}</style>",
    '"><img src=x onerror=alert(1)>',
    "url(file:///etc/passwd) $\\frac{1}{0}$ -->",
    "\u202egnp.exe\u2066 🚀 漢字 </script>",
)

PROBE = """
<script>
addEventListener("error", (event) => { document.body.dataset.error = event.message; });
addEventListener("load", () => {
  const out = {}, rows = () => [...document.querySelectorAll("#findings tbody tr:not(.open)")];
  const filter = document.getElementById("filter");
  filter.value = "numpy-speedup"; filter.dispatchEvent(new Event("input"));
  const left = rows().filter((row) => !row.hidden);
  out.filtered = left.length < rows().length && left.every((row) => row.textContent.includes("numpy-speedup"));
  filter.value = ""; filter.dispatchEvent(new Event("input"));
  document.querySelectorAll("#findings thead button")[4].click();
  const required = rows().map((row) => Number(row.dataset.required));
  out.sorted = required.every((value, index) => !index || required[index - 1] <= value);
  document.querySelector("button.samples").click();
  out.points = document.querySelectorAll("tr.open circle").length > 50;
  out.overflow = document.documentElement.scrollWidth <= innerWidth;
  document.body.dataset.probe = JSON.stringify(out);
});
</script>
"""


def in_chromium(html: str, folder: Path, *flags: str) -> str:
    """The page's elements after its scripts ran."""
    page = folder / "page.html"
    page.write_text(html)
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", *flags, "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def hostile(text: str) -> ClaimsSource:
    data = EXAMPLE_CLAIMS.read_bytes()
    source = parse_claims(data, "example_claims.toml")
    claims = tuple(claim.model_copy(update={"title": text, "quote": text, "source": text}) for claim in source.claims)
    return ClaimsSource(data=data, file=source.model_copy(update={"claims": claims}))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_claims_text_is_data(text: str) -> None:
    document = compose(material(claims=(hostile(text),)))
    html = render(document, "screen")
    assert html.count("<script") == render(compose(material(claims=(claims_source(EXAMPLE_CLAIMS),))), "screen").count(
        "<script"
    )
    assert "onerror=alert(1)>" not in html.replace("&gt;", "")
    assert "\u202e" not in html
    assert "49" not in re.findall(r"<q>(.*?)</q>", html, re.DOTALL)[0]


def test_hostile_text_is_drawn_without_a_complaint_of_the_renderer() -> None:
    assert write_pdf(compose(material(claims=(hostile(" ".join(HOSTILE)),)))).startswith(b"%PDF-1.7")


def test_the_page_asks_for_nothing_outside_itself(report: Path) -> None:
    html = (report / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert not re.findall(r"url\((?!data:)", html)
    assert "default-src 'none'" in html


@pytest.mark.usefixtures("tools")
def test_filter_sort_and_samples_work_in_chromium(report: Path, tmp_path: Path) -> None:
    html = (report / "report.html").read_text().replace("</body>", PROBE + "</body>")
    dom = in_chromium(html, tmp_path, "--window-size=1280,900")
    assert "data-error" not in dom
    told = re.search(r'data-probe="([^"]*)"', dom)
    assert told, "the page's script did not run"
    assert told[1].replace("&quot;", '"') == '{"filtered":true,"sorted":true,"points":true,"overflow":true}'


@pytest.mark.usefixtures("tools")
def test_a_phone_needs_no_sideways_scrolling(report: Path, tmp_path: Path) -> None:
    shutil.copy(report / "report.html", tmp_path / "inner.html")
    outer = (
        "<!doctype html><iframe id=f width=390 height=800 src=inner.html></iframe><script>"
        "document.getElementById('f').onload = (e) => { const d = e.target.contentDocument.documentElement;"
        "document.title = `${d.scrollWidth} of ${d.clientWidth}`; };</script>"
    )
    dom = in_chromium(outer, tmp_path, "--allow-file-access-from-files")
    width, room = map(int, re.findall(r"<title>(\d+) of (\d+)</title>", dom)[0])
    assert width <= room
