"""One report, drawn once and shared: drawing takes seconds."""

import shutil
from pathlib import Path

import pytest

from tests.report.builders import material
from validation.report.document import compose
from validation.report.html import render
from validation.report.material import Material
from validation.report.write import write_report


@pytest.fixture(scope="session")
def made() -> Material:
    return material()


@pytest.fixture(scope="session")
def made_html(made: Material) -> str:
    return render(compose(made), "screen")


@pytest.fixture(scope="session")
def report(made: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with report.html and report.pdf."""
    out = tmp_path_factory.mktemp("report")
    write_report(made, out)
    return out


@pytest.fixture
def pdf(report: Path, tmp_path: Path) -> Path:
    """A copy of the report that a test may forge."""
    return Path(shutil.copy(report / "report.pdf", tmp_path / "report.pdf"))


@pytest.fixture(scope="session")
def tools() -> None:
    """Fails, and does not skip, where the Debian packages that `make test` installs are missing."""
    missing = [tool for tool in ("qpdf", "pdftoppm", "pdffonts", "chromium") if shutil.which(tool) is None]
    assert not missing, f"these tests need {', '.join(missing)}: apt-get install qpdf poppler-utils chromium"
