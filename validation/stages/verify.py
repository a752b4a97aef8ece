"""`verify`: does a report say what its own evidence says, and who signed it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from validation.report.embedded import read_pdf
from validation.report.signature import SignatureState, check_signature, load_public_key, signature_path
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


def verify_report(pdf: Path, key: Path | None, *, as_json: bool) -> bool:
    """Prints what was found; False unless the report is verified and its signature, if it has or needs one, is good.

    Raises:
        UsageError: the file is unreadable or no report of this suite, or `key` is no key.
    """
    trusted = None if key is None else load_public_key(key)
    signature = check_signature(read_pdf(pdf), signature_path(pdf), trusted)
    found = verify(pdf).model_copy(update={"signature": signature})
    accepted = found.outcome is Outcome.VERIFIED and (signature is None or signature.state is SignatureState.VALID)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
        return accepted
    typer.echo(f"{_WORDS[found.outcome]}: {pdf.name}, {found.findings} findings on {found.pages} pages")
    for digest in found.evidence_sha256:
        typer.echo(f"  evidence sha256 {digest}")
    for line in found.differences[:_SHOWN]:
        typer.echo(f"  differs: {line}")
    if len(found.differences) > _SHOWN:
        typer.echo(f"  ... and {len(found.differences) - _SHOWN} more differences (--json lists them)")
    for line in found.remarks:
        typer.echo(f"  note: {line}")
    if signature is None:
        typer.echo("Signature: none beside the report")
    else:
        good = signature.state is SignatureState.VALID
        typer.echo(f"Signature: {'' if good else 'rejected: '}{signature.message}")
    return accepted
