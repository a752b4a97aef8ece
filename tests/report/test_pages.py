"""Every page as an image, beside the one that was looked at and approved.

`make approve` puts today's pages in their place. Do it after looking at each of them.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.report.builders import claims_source, material, with_everything
from validation.report import pdf as drawing
from validation.report.document import Document, compose
from validation.report.html import Medium, render
from validation.report.material import Material

pytestmark = pytest.mark.usefixtures("tools")

APPROVED = Path(__file__).with_name("approved")
DPI = 50
#: A pixel is of another grey when it differs by this much after 2 x 2 pixels were made one.
GREY = 40
#: Another digest in a footer or table changes up to 0.3 % of a page's pixels, a figure that is gone 5 %.
MOST_CHANGED = 0.01

Pages = tuple[NDArray[np.float64], ...]


@pytest.fixture(scope="module")
def document() -> Document:
    return compose(material(with_everything(), claims=(claims_source(APPROVED / "claims.toml"),)))


def pages_of(pdf: bytes, folder: Path) -> Pages:
    (folder / "report.pdf").write_bytes(pdf)
    command = ["pdftoppm", "-r", str(DPI), "-gray", "-png", str(folder / "report.pdf"), str(folder / "page")]
    subprocess.run(command, check=True)
    return read(folder)


def read(folder: Path) -> Pages:
    return tuple(np.asarray(Image.open(path).convert("L"), float) for path in sorted(folder.glob("page-*.png")))


def halved(page: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two by two pixels made one: what is moved by half a pixel is no difference."""
    rows, columns = (size - size % 2 for size in page.shape)
    quarters = [page[row:rows:2, column:columns:2] for row in (0, 1) for column in (0, 1)]
    return (quarters[0] + quarters[1] + quarters[2] + quarters[3]) / 4


def changed(page: NDArray[np.float64], approved: NDArray[np.float64]) -> float:
    """The share of pixels that are of another grey; all of them when the pages are of different sizes."""
    if page.shape != approved.shape:
        return 1.0
    return float((np.abs(halved(page) - halved(approved)) > GREY).mean())


def differences(pages: Pages, approved: Pages) -> list[str]:
    told = [] if len(pages) == len(approved) else [f"{len(pages)} pages, and {len(approved)} were approved"]
    for number, (page, known) in enumerate(zip(pages, approved, strict=False), 1):
        share = changed(page, known)
        if share > MOST_CHANGED:
            told.append(f"page {number}: {share:.1%} of it differs")
    return told


@pytest.fixture(scope="module")
def drawn(document: Document, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    pages_of(drawing.write_pdf(document), folder)
    return folder


@pytest.fixture(scope="module")
def approved(drawn: Path) -> Pages:
    """The approved pages; with APPROVE=1 in the environment, today's are approved first."""
    if os.environ.get("APPROVE") == "1":
        for old in APPROVED.glob("page-*.png"):
            old.unlink()
        for new in sorted(drawn.glob("page-*.png")):
            Image.open(new).quantize(16).save(APPROVED / new.name, optimize=True)
    return read(APPROVED)


def test_the_pages_look_as_approved(drawn: Path, approved: Pages) -> None:
    assert approved, "no pages are approved yet: look at them, then run make approve"
    told = differences(read(drawn), approved)
    assert told == [], f"look at {drawn}; if the pages are right, run make approve"


@pytest.fixture(scope="module")
def small(little_made: Material) -> Document:
    """A report of few pages, to break."""
    return compose(little_made)


@pytest.fixture(scope="module")
def whole(small: Document, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return pages_of(drawing.write_pdf(small), tmp_path_factory.mktemp("whole"))


def test_another_digest_in_the_footers_is_no_other_layout(small: Document, whole: Pages, tmp_path: Path) -> None:
    made = small.material.evidence[0].evidence.model_copy(update={"run_id": "fedcba9876543210"})
    other = compose(material(made, claims=small.material.claims))
    assert differences(pages_of(drawing.write_pdf(other), tmp_path), whole) == []


@pytest.mark.parametrize(
    "style",
    [
        "table { width: 115%; } .why td { font-size: 9pt; }",
        "figure img { width: 60%; }",
        ".cards { display: block; }",
        "h2 { margin-bottom: -4mm; }",
    ],
    ids=["tables too wide", "figures too small", "cards below each other", "headings over text"],
)
def test_a_broken_layout_is_noticed(
    small: Document, whole: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    def broken(document: Document, medium: Medium) -> str:
        return render(document, medium).replace("</style>", f"{style}</style>", 1)

    monkeypatch.setattr(drawing, "render", broken)
    assert differences(pages_of(drawing.write_pdf(small), tmp_path), whole)
