"""`verify`: does a report say what its own evidence says?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from validation.report.verify import Outcome, verify

if TYPE_CHECKING:
    from pathlib import Path

_WORDS: Final = {
    Outcome.VERIFIED: "Verified",
    Outcome.OTHER_VERSION: "Not decided: made by another version",
    Outcome.REJECTED: "Rejected",
}

#: One changed sample changes the digest of every finding: the first few say what happened.
_SHOWN: Final = 6


def verify_report(pdf: Path, *, as_json: bool) -> bool:
    """Prints what was found; False unless the report is verified.

    Raises:
        UsageError: the file is unreadable or no report of this suite.
    """
    found = verify(pdf)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
        return found.outcome is Outcome.VERIFIED
    typer.echo(f"{_WORDS[found.outcome]}: {pdf.name}, {found.findings} findings on {found.pages} pages")
    for digest in found.evidence_sha256:
        typer.echo(f"  evidence sha256 {digest}")
    for line in found.differences[:_SHOWN]:
        typer.echo(f"  differs: {line}")
    if len(found.differences) > _SHOWN:
        typer.echo(f"  ... and {len(found.differences) - _SHOWN} more differences (--json lists them)")
    for line in found.remarks:
        typer.echo(f"  note: {line}")
    return found.outcome is Outcome.VERIFIED
