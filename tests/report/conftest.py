"""One report, drawn once and shared: drawing takes seconds."""

import shutil
from pathlib import Path

import pytest

from tests.report.builders import claims_source, material
from tests.synthetic import CANDIDATE, evidence
from validation.claims.load import EXAMPLE_CLAIMS
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


@pytest.fixture(scope="session")
def little_made() -> Material:
    """Three claims and three implementations: drawn in 2 s, where the study's report takes 5."""
    times = {"seed-claim": {CANDIDATE: 10_060.0, "torch_per_expert": 14_410.0, "torch_onednn_prepacked": 11_910.0}}
    return material(evidence(times_us=times, pairs=5), claims=(claims_source(EXAMPLE_CLAIMS),))


@pytest.fixture(scope="session")
def little(little_made: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the report.html and report.pdf of `little_made`."""
    out = tmp_path_factory.mktemp("little")
    write_report(little_made, out)
    return out


@pytest.fixture
def pdf(little: Path, tmp_path: Path) -> Path:
    """A copy of a little report that a test may forge."""
    return Path(shutil.copy(little / "report.pdf", tmp_path / "report.pdf"))


@pytest.fixture(scope="session")
def tools() -> None:
    """Fails, and does not skip, where the Debian packages that `make test` installs are missing."""
    missing = [tool for tool in ("qpdf", "pdftoppm", "pdffonts", "chromium") if shutil.which(tool) is None]
    assert not missing, f"these tests need {', '.join(missing)}: apt-get install qpdf poppler-utils chromium"
