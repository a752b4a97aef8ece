"""`judge`: verdicts from recorded evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from validation.evidence.store import load
from validation.evidence.suite import suite_info
from validation.stages.acceptance import objections
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


def reject(found: tuple[str, ...], console: Console) -> bool:
    """Prints the objections; returns whether there are none."""
    if not found:
        return True
    console.print("[bold]The candidate is rejected:[/]")
    for line in found[:20]:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if len(found) > 20:  # noqa: PLR2004 - a screenful; all of them are in the evidence
        console.print(f"  ... and {len(found) - 20} more in the evidence", highlight=False)
    return False
