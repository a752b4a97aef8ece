"""`languages`: the cross-language page, from evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from validation.report.languages import languages_page
from validation.stages.report import read_evidence
from validation.usage import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def write_languages(evidence: Path, workload: str, out: Path) -> bool:
    """Writes the page; always accepts.

    Raises:
        UsageError: the evidence cannot be read, or holds no times of the workload.
    """
    (file,) = read_evidence((evidence,))
    try:
        page = languages_page(file.evidence, file.sha256, workload)
    except ValueError as error:
        raise UsageError(f"{evidence}: {error}. Name one that it holds with --workload.") from None
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page)
    Console().print(f"Written: {out}", highlight=False, soft_wrap=True, markup=False)
    return True
