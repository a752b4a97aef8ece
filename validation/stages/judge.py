"""`judge`: verdicts from recorded evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from validation.evidence.suite import suite_info
from validation.stages.acceptance import objections, reject
from validation.stages.report import is_ours, read_evidence
from validation.stages.selection import load_claims_files
from validation.stages.verdict_table import print_verdicts
from validation.verdicts.judge import judge
from validation.verdicts.store import write

if TYPE_CHECKING:
    from pathlib import Path


def judge_evidence(evidence: tuple[Path, ...], claims: tuple[Path, ...], out: Path) -> bool:
    """Writes verdicts.json into `out` and prints it; False when a candidate is rejected.

    Raises:
        UsageError: an evidence or claims file is at fault.
    """
    files = read_evidence(evidence)
    sources = load_claims_files(claims, own=all(is_ours(file) for file in files))
    verdicts = judge([one.file for one in sources], files, suite_info())
    path = out / "verdicts.json"
    write(verdicts, path)
    console = Console()
    print_verdicts(verdicts, console)
    console.print(f"Verdicts: {path}", highlight=False, soft_wrap=True, markup=False)
    return reject(objections([file.evidence for file in files], verdicts), console)
