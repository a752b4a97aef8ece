"""`audit`: do the published numbers agree with each other?"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from validation.claims.audit import Outcome, audit
from validation.claims.load import SEED_CLAIMS, check_distinct, load_claims

if TYPE_CHECKING:
    from pathlib import Path

_LOOK: Final = {
    Outcome.CONTRADICTS: ("✗ contradicts", "red"),
    Outcome.NOTABLE: ("! notable", "yellow"),
    Outcome.AGREES: ("✓ agrees", "green"),
}


def audit_claims(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Prints every comparison, contradictions first; a contradiction in somebody's text is no failure of ours.

    Raises:
        UsageError: a claims file is at fault.
    """
    files = tuple(load_claims(path) for path in paths or (SEED_CLAIMS,))
    check_distinct(files)
    found = [one for file in files for one in audit(file)]
    counts = Counter(one.outcome for one in found)
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=1))
        return
    console = Console(highlight=False)
    for outcome, (words, colour) in _LOOK.items():
        for one in found:
            if one.outcome is outcome:
                console.print(Text(f"{words}: {one.check.replace('_', ' ')}", style=colour))
                console.print(Padding(Text(one.sentence), (0, 0, 0, 2)))
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in _LOOK)
    console.print(f"{len(found)} comparisons: {summary}.")
