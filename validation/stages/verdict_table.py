"""Verdicts on a terminal: the headline of each claim, its readings below it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

from validation.report.mark import MARKS
from validation.report.quantity import claimed, limit, measured
from validation.verdicts.verdict import Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from validation.verdicts.verdict import Finding, Verdicts

#: The longest of the verdicts' words, `confirmed`, `harness fault` and so on, with its glyph.
_WIDTH = 2 + max(len(mark.word) for mark in MARKS.values())


def print_verdicts(verdicts: Verdicts, console: Console) -> None:
    """Prints every finding that was tested, then how many were not."""
    titles = {claim.id: claim.title for claim in verdicts.claims}
    machines = {finding.machine for finding in verdicts.findings if finding.verdict is not Verdict.NOT_TESTED}
    shown = ""
    for finding in verdicts.findings:
        if finding.verdict is Verdict.NOT_TESTED:
            continue
        if finding.claim != shown:
            shown = finding.claim
            console.print(Text(titles.get(shown, shown), style="bold"))
        console.print(Padding(_line(finding, several=len(machines) > 1), (0, 0, 0, 2)))
    console.print("* the strict reading: same device and dtype, strongest baseline. It gives the headline.")
    counts = Counter(finding.verdict for finding in verdicts.findings)
    words = (f"{counts[verdict]} {mark.word}" for verdict, mark in MARKS.items() if counts[verdict])
    console.print(f"Readings: {', '.join(words)}.", highlight=False)


def _line(finding: Finding, *, several: bool) -> Text:
    mark = MARKS[finding.verdict]
    numbers = [f"measured {measured(finding)}"] if finding.estimate is not None else []
    numbers.append(f"claimed {claimed(finding)}")
    if finding.limit is not None:
        numbers.append(f"limit {limit(finding)}")
    where = f" on {finding.machine}" if several else ""
    line = Text(f"{mark.glyph} {mark.word}".ljust(_WIDTH + 1), style=mark.colour)
    line.append(f"{finding.reading}{'*' if finding.strict else ''}{where}: {', '.join(numbers)}", style="default")
    return line
