import hashlib
import io
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pikepdf
import pytest

from tests.report.builders import material
from tests.synthetic import evidence, gpu_evidence
from validation.report.attached import attachments
from validation.report.document import compose
from validation.report.material import Material
from validation.report.pdf import ClosedFetcher, ForbiddenSourceError, write_pdf
from validation.report.printed import printed_blocks

MOST_BYTES = 1_500_000
#: docs/REPORT.md promises them.
MOST_PAGES, MOST_PAGES_A_MACHINE = 14, 6
SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "sample"


def structure(pdf: pikepdf.Pdf) -> list[pikepdf.Object]:
    found: list[pikepdf.Object] = []
    waiting: list[pikepdf.Object] = [pdf.Root.StructTreeRoot]
    while waiting:
        node = waiting.pop()
        if isinstance(node, pikepdf.Dictionary):
            if "/S" in node and "/K" in node:
                found.append(node)
            kids = node.get("/K")
            waiting += [] if kids is None else reversed(list(kids)) if isinstance(kids, pikepdf.Array) else [kids]
    return found


def test_equal_material_gives_equal_bytes(little_made: Material, little: Path) -> None:
    assert write_pdf(compose(little_made)) == (little / "report.pdf").read_bytes()


def test_the_attachments_are_the_exact_bytes(made: Material, report: Path) -> None:
    with pikepdf.open(report / "report.pdf") as pdf:
        inside = {name: spec.get_file().read_bytes() for name, spec in pdf.attachments.items()}
        relations = {str(spec.obj.AFRelationship) for spec in pdf.attachments.values()}
    assert inside == {name: data for name, data, _ in attachments(made)}
    assert relations == {"/Data"}


def test_it_is_marked_as_tagged_pdf_a(report: Path) -> None:
    with pikepdf.open(report / "report.pdf") as pdf:
        assert pdf.Root.MarkInfo.Marked
        assert str(pdf.Root.Lang) == "en"
        assert len(pdf.Root.OutputIntents) == 1
        with pdf.open_metadata() as metadata:
            assert metadata.pdfa_status == "3A"


def begins_on(pdf: pikepdf.Pdf, heading: str) -> int:
    return next(block.page for block in printed_blocks(pdf) if block.tag == "/H2" and block.text == heading)


def test_bookmarks_and_contents_lead_to_the_eleven_parts(report: Path) -> None:
    with pikepdf.open(report / "report.pdf") as pdf:
        blocks = printed_blocks(pdf)
        with pdf.open_outline() as outline:
            titles = ["".join(item.title.split()) for item in outline.root]
    parts = {block.text: block.page for block in blocks if block.tag == "/H2" and block.text[0].isdigit()}
    assert titles == ["1Summary", *parts]
    assert len(titles) == 11
    told = [re.fullmatch(r"(\d+)\D.*·p\.(\d+)", block.text) for block in blocks if block.page == 1]
    assert {int(found[1]): int(found[2]) for found in told if found} == dict(enumerate(parts.values(), 2))


def test_page_one_holds_the_whole_summary(report: Path) -> None:
    with pikepdf.open(report / "report.pdf") as pdf:
        assert begins_on(pdf, "2Verdicts") == 2


def test_page_one_holds_the_whole_summary_of_two_machines() -> None:
    with pikepdf.open(io.BytesIO(write_pdf(compose(material(evidence(), gpu_evidence()))))) as pdf:
        assert begins_on(pdf, "2Verdicts") == 2


def test_every_figure_states_its_finding(report: Path) -> None:
    with pikepdf.open(report / "report.pdf") as pdf:
        alts = [str(node.get("/Alt", "")) for node in structure(pdf) if node.S == "/Figure"]
    assert alts
    assert all(len(alt) > 40 for alt in alts)


def test_headings_do_not_skip(report: Path) -> None:
    with pikepdf.open(report / "report.pdf") as pdf:
        levels = [int(str(node.S)[2]) for node in structure(pdf) if re.fullmatch(r"/H\d", str(node.S))]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_no_page_holds_a_raster_image(report: Path) -> None:
    with pikepdf.open(report / "report.pdf") as pdf:
        kinds = {str(thing.get("/Subtype", "")) for thing in pdf.objects if isinstance(thing, pikepdf.Stream)}
    assert "/Image" not in kinds


@pytest.mark.usefixtures("tools")
def test_qpdf_finds_nothing_wrong(report: Path) -> None:
    done = subprocess.run(["qpdf", "--check", report / "report.pdf"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("tools")
def test_every_font_is_embedded_and_ours(report: Path) -> None:
    lines = subprocess.run(["pdffonts", report / "report.pdf"], capture_output=True, text=True, check=True).stdout
    rows = lines.splitlines()[2:]
    assert rows
    assert all("IBM-Plex" in row.replace("IBMPlex", "IBM-Plex") and " yes yes yes " in row for row in rows), lines


@pytest.mark.usefixtures("tools")
def test_the_footer_of_every_page_prints_the_digest(made: Material, report: Path) -> None:
    text = subprocess.run(
        ["pdftotext", "-layout", report / "report.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    pages = text.split("\f")[:-1]
    digest = hashlib.sha256(made.evidence[0].data).hexdigest()
    assert all(digest in page and made.run_id in page for page in pages)


def test_nothing_of_this_machine_is_inside(report: Path) -> None:
    root = str(Path(__file__).resolve().parents[2])
    for name in ("report.html", "report.pdf"):
        assert root.encode() not in (report / name).read_bytes()


def test_the_sample_is_no_longer_than_its_machines_need() -> None:
    with pikepdf.open(SAMPLE / "report.pdf") as pdf:
        machines = sum(name.startswith("evidence") for name in pdf.attachments)
        assert len(pdf.pages) <= MOST_PAGES + MOST_PAGES_A_MACHINE * (machines - 1)
        assert begins_on(pdf, "2Verdicts") == 2


def test_the_files_are_small(report: Path) -> None:
    assert (report / "report.pdf").stat().st_size <= MOST_BYTES
    assert (report / "report.html").stat().st_size <= 2 * MOST_BYTES


@pytest.mark.parametrize("url", ["http://localhost/x", "file:///etc/passwd", "ftp://x/y", "https://example.org/a.css"])
def test_the_renderer_reads_nothing_from_outside(url: str) -> None:
    with pytest.raises(ForbiddenSourceError, match="only data: URLs"):
        ClosedFetcher().fetch(url)


def test_the_renderer_does_not_climb_out_of_the_template_folder() -> None:
    with pytest.raises(ForbiddenSourceError):
        ClosedFetcher().fetch(Path(__file__).resolve().parents[2].as_uri() + "/report_templates/../pyproject.toml")
