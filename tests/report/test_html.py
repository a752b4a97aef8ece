import re
from pathlib import Path

import pytest

from tests.report.builders import claims_source, hostile, material
from validation.claims.load import EXAMPLE_CLAIMS
from validation.report.document import compose
from validation.report.html import render
from validation.report.pdf import write_pdf

HOSTILE = (
    "<script>document.title='owned'</script>",
    "{{ 7 * 7 }}{% raw %}",
    "</style><style>*{display:none}</style>",
    '"><img src=x onerror=alert(1)>',
    "url(file:///etc/passwd) $\\frac{1}{0}$ -->",
    "\u202egnp.exe\u2066 🚀 漢字 </script>",
    "javascript:alert(1)//../../etc/passwd%00]]><svg/onload=alert(1)>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_claims_text_is_data(text: str) -> None:
    html = render(compose(material(claims=(hostile(text),))), "screen")
    harmless = render(compose(material(claims=(claims_source(EXAMPLE_CLAIMS),))), "screen")
    for markup in ("<script", "<style", "<img", "<svg", "href=", "</script"):
        assert html.count(markup) == harmless.count(markup)
    assert "\u202e" not in html
    assert "49" not in re.findall(r"<q>(.*?)</q>", html, re.DOTALL)[0]


def test_hostile_text_is_drawn_without_a_complaint_of_the_renderer() -> None:
    assert write_pdf(compose(material(claims=(hostile(" ".join(HOSTILE)),)))).startswith(b"%PDF-1.7")


def test_the_page_asks_for_nothing_outside_itself(report: Path) -> None:
    html = (report / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert not re.findall(r"url\((?!data:)", html)
    assert "default-src 'none'" in html
