"""Verdicts on a terminal: the headline of each claim, its readings below it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from validation.report.mark import MARKS
from validation.report.quantity import limit, measured, required

if TYPE_CHECKING:
    from rich.console import Console

    from validation.verdicts.verdict import Finding, Verdict, Verdicts


def print_verdicts(verdicts: Verdicts, console: Console) -> None:
    """Prints every finding that was tested, then how many were not and why."""
    titles = {claim.id: claim.title for claim in verdicts.claims}
    table = Table("reading", "measured [95 %]", "required", "limit here", "verdict", box=None, pad_edge=False)
    shown = ""
    for finding in verdicts.findings:
        if finding.verdict == "not_tested":
            continue
        if finding.claim != shown:
            shown = finding.claim
            table.add_row(Text(titles.get(shown, shown), style="bold", overflow="fold"))
        table.add_row(
            Text(f"  {finding.reading}{'*' if finding.strict else ''}", overflow="fold"),
            _quantity(finding),
            required(finding).removeprefix("at least ").removeprefix("at most "),
            limit(finding),
            _marked(finding.verdict),
        )
    if table.row_count:
        console.print(table)
        console.print("* the strict reading: same device and dtype, strongest baseline. It gives the headline.")
    counts = Counter(finding.verdict for finding in verdicts.findings)
    words = (f"{counts[verdict]} {mark.word}" for verdict, mark in MARKS.items() if counts[verdict])
    console.print(f"Readings: {', '.join(words)}.", highlight=False)


def _quantity(finding: Finding) -> str:
    return measured(finding) if finding.estimate is not None else "–"


def _marked(verdict: Verdict) -> Text:
    mark = MARKS[verdict]
    return Text(f"{mark.glyph} {mark.word}", style=mark.colour)
