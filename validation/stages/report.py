"""`report`: one report over the evidence of one or several machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from validation.evidence.atomic import write_atomically
from validation.evidence.store import parse, read_bytes
from validation.evidence.suite import suite_info
from validation.report.material import EvidenceFile, Material
from validation.stages.acceptance import objections, reject
from validation.stages.console import step
from validation.stages.selection import load_claims_files
from validation.stages.verdict_table import print_verdicts
from validation.verdicts.judge import judge
from validation.verdicts.store import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from validation.report.material import ClaimsSource


def report_evidence(
    evidence: tuple[Path, ...], claims: tuple[Path, ...], out: Path, signing_key: Path | None = None
) -> bool:
    """Judges the evidence, writes verdicts and report into `out`; False when a candidate is rejected.

    Raises:
        UsageError: an evidence, claims or key file is at fault.
    """
    from validation.report.signature import (  # noqa: PLC0415 -- see publish
        fingerprint,
        load_private_key,
        sign,
        signature_path,
    )

    key = None if signing_key is None else load_private_key(signing_key)
    files = read_evidence(evidence)
    sources = load_claims_files(claims, own=all(is_ours(file) for file in files))
    console = Console()
    accepted = publish(files, sources, out, console)
    if key is not None:
        pdf = out / "report.pdf"
        write_atomically(signature_path(pdf), sign(pdf.read_bytes(), key))
        told = f"Signature: {signature_path(pdf)}, by {fingerprint(key.public_key())}"
        console.print(told, highlight=False, soft_wrap=True, markup=False)
    return accepted


def read_evidence(paths: Sequence[Path]) -> tuple[EvidenceFile, ...]:
    """Returns the evidence files with their exact bytes, which are what a report embeds and a verdict names."""
    found = []
    for path in paths:
        data = read_bytes(path)
        found.append(EvidenceFile(data=data, evidence=parse(data, str(path))))
    return tuple(found)


def is_ours(file: EvidenceFile) -> bool:
    """Whether the candidate is this project's kernel, the only one that our own promises are about."""
    return any(one.role == "candidate" and one.family == "mojo" for one in file.evidence.implementations)


def publish(files: Sequence[EvidenceFile], sources: Sequence[ClaimsSource], out: Path, console: Console) -> bool:
    """Judges, prints the verdicts, writes verdicts.json, report.html and report.pdf; returns whether to accept."""
    evidences = [file.evidence for file in files]
    verdicts = judge([one.file for one in sources], files, suite_info())
    material = Material(evidence=tuple(files), claims=tuple(sources), verdicts=verdicts)
    write(verdicts, out / "verdicts.json")
    print_verdicts(verdicts, console)
    written = _write_report(material, out, console)
    accepted = reject(objections(evidences, verdicts), console)
    for label, path in (("Verdicts", out / "verdicts.json"), *written):
        console.print(f"{label}: {path}", highlight=False, soft_wrap=True, markup=False)
    return accepted


def _write_report(material: Material, out: Path, console: Console) -> tuple[tuple[str, Path], ...]:
    """Writes the report where its libraries are; a machine that only measures needs none of them."""
    try:
        from validation.report.signature import signature_path  # noqa: PLC0415 -- as said above
        from validation.report.write import write_report  # noqa: PLC0415 -- as said above
    except ModuleNotFoundError as missing:
        told = f"No report: {missing.name} is not installed here. `moe-validation report` writes it from the evidence."
        console.print(told, highlight=False, soft_wrap=True, markup=False)
        return ()
    with step(console, "report written", 1) as shown:
        html, pdf = write_report(material, out)
        # A signature of the report that stood here before is none of this one.
        signature_path(pdf).unlink(missing_ok=True)
        shown.advance()
    return ("Report, HTML", html), ("Report, PDF", pdf)
