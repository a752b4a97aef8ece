"""The two files of a report."""

from pathlib import Path

from validation.evidence.atomic import write_atomically
from validation.report.document import compose
from validation.report.html import render
from validation.report.material import Material
from validation.report.pdf import write_pdf


def write_report(material: Material, out: Path) -> tuple[Path, Path]:
    """Writes report.html and report.pdf into `out` and returns their paths; equal material gives equal bytes."""
    document = compose(material)
    html, pdf = out / "report.html", out / "report.pdf"
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(html, render(document, "screen").encode())
    write_atomically(pdf, write_pdf(document))
    return html, pdf
