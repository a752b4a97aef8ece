"""`judge`: verdicts from recorded evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from validation.evidence.store import load
from validation.evidence.suite import suite_info
from validation.stages.acceptance import objections, reject
from validation.stages.selection import load_claims_files
from validation.stages.verdict_table import print_verdicts
from validation.verdicts.judge import judge
from validation.verdicts.store import write

if TYPE_CHECKING:
    from pathlib import Path


def judge_evidence(evidence: tuple[Path, ...], claims: tuple[Path, ...], out: Path) -> bool:
    """Writes verdicts.json into `out` and prints it; False when a candidate is wrong or a promise broken."""
    loaded = tuple(load(path) for path in evidence)
    files = load_claims_files(claims)
    verdicts = judge(files, loaded, suite_info())
    path = out / "verdicts.json"
    write(verdicts, path)
    console = Console()
    print_verdicts(verdicts, console)
    console.print(f"Verdicts: {path}", highlight=False, soft_wrap=True)
    return reject(objections((one.evidence for one in loaded), verdicts), console)

