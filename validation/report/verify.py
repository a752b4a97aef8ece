"""Verification of a report: its verdicts, derived again from the evidence inside it, and its pages, drawn again.

It shows that a report follows from its own evidence. It cannot show that the evidence was observed and not invented.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

import pikepdf

from validation.claims.load import SCHEMA_VERSION as CLAIMS_SCHEMA
from validation.claims.load import parse_claims
from validation.evidence.record import SCHEMA_VERSION as EVIDENCE_SCHEMA
from validation.evidence.store import parse as parse_evidence
from validation.evidence.suite import suite_info
from validation.record import Record
from validation.report.drawn import compare_pages
from validation.report.embedded import Embedded, read_pdf, take_out
from validation.report.material import ClaimsSource, EvidenceFile, Material, in_order
from validation.report.restated import verdict_differences, worded_otherwise
from validation.report.signature import SignatureCheck
from validation.report.words import count
from validation.usage import UsageError
from validation.verdicts.judge import judge
from validation.verdicts.rules import RULES_VERSION
from validation.verdicts.store import parse as parse_verdicts
from validation.verdicts.verdict import SCHEMA_VERSION as VERDICTS_SCHEMA
from validation.verdicts.verdict import Verdicts

#: Differences of one kind that are told; a forged report has few, a foreign one hundreds.
_TOLD: Final = 20


class Outcome(StrEnum):
    """`other_version`: neither confirmed nor contradicted, for want of the rules it was made with."""

    VERIFIED = "verified"
    OTHER_VERSION = "other_version"
    REJECTED = "rejected"


class Verification(Record):
    """What was found: every difference in a sentence, and remarks that reject nothing."""

    outcome: Outcome
    differences: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    evidence_sha256: tuple[str, ...] = ()
    findings: int = 0
    pages: int = 0
    signature: SignatureCheck | None = None


class _DifferentVersionError(Exception):
    """The report was made by a version whose documents or rules differ from these."""


def verify(path: Path) -> Verification:
    """Returns whether a report says what its own evidence says.

    Raises:
        UsageError: the file is unreadable or no report of this suite.
    """
    data = read_pdf(path)
    try:
        with pikepdf.open(io.BytesIO(data)) as pdf:
            return _verify(pdf, data, path.name)
    except pikepdf.PdfError as error:
        raise UsageError(
            f"{path.name} must be an undamaged PDF: {error}. Take an unchanged copy of the report."
        ) from None


def _verify(pdf: pikepdf.Pdf, data: bytes, name: str) -> Verification:
    embedded = take_out(pdf, name)
    evidence_names = sorted((title for title in embedded.files if title.startswith("evidence")), key=_number)
    found = Verification(
        outcome=Outcome.REJECTED,
        evidence_sha256=tuple(hashlib.sha256(embedded.files[title]).hexdigest() for title in evidence_names),
        pages=len(pdf.pages),
    )
    differences: list[str] = []
    try:
        stated, evidence, claims = _read(embedded, evidence_names)
        differences += _hash_differences(stated, evidence, claims)
        if not differences:
            _require_rules(stated)
        derived = judge([source.file for source in claims], evidence, stated.suite)
    except _DifferentVersionError as error:
        return found.model_copy(update={"outcome": Outcome.OTHER_VERSION, "remarks": (str(error),)})
    except UsageError as error:
        return found.model_copy(update={"differences": (*differences, str(error))})
    material = in_order(Material(evidence=evidence, claims=claims, verdicts=derived))
    told = verdict_differences(stated, derived)
    found = found.model_copy(update={"findings": len(derived.findings)})
    worded = worded_otherwise(stated, derived)
    if told and not differences and len(told) == len(worded) and stated.suite.commit != suite_info().commit:
        # Another commit may say the same in other words; whether it did, only that commit can tell.
        remark = (
            "Every verdict follows from the evidence; verdicts.json explains it in other words than this version, "
            f"so it was not decided whether it says the same: {count(len(worded), 'finding')}; the first: {worded[0]}"
        )
        return found.model_copy(update={"outcome": Outcome.OTHER_VERSION, "remarks": (remark, _who(stated))})
    differences += told[:_TOLD]
    if len(told) > _TOLD:
        differences.append(f"{len(told) - _TOLD} more such differences.")
    if differences:
        remark = "The pages were not compared: what is embedded already contradicts itself."
        return found.model_copy(update={"differences": tuple(differences), "remarks": (remark,)})
    pages = compare_pages(pdf, data, embedded.origin, material)
    outcome = Outcome.REJECTED if pages.differences else Outcome.OTHER_VERSION if pages.undecided else Outcome.VERIFIED
    return found.model_copy(update={"outcome": outcome, "differences": pages.differences, "remarks": pages.remarks})


def _read(
    embedded: Embedded, evidence_names: list[str]
) -> tuple[Verdicts, tuple[EvidenceFile, ...], tuple[ClaimsSource, ...]]:
    """Returns the verdicts, the evidence and the claims that the report embeds."""
    files = embedded.files
    _require_version(files["verdicts.json"], "verdicts.json", VERDICTS_SCHEMA)
    for title in evidence_names:
        _require_version(files[title], title, EVIDENCE_SCHEMA)
    claims_names = sorted((title for title in files if title.startswith("claims")), key=_number)
    for title in claims_names:
        version = re.search(rb"^\s*schema_version\s*=\s*(\d{1,9})", files[title], re.MULTILINE)
        if version and int(version[1]) != CLAIMS_SCHEMA:
            raise _DifferentVersionError(
                f"{title} has schema_version {int(version[1])}; this suite reads {CLAIMS_SCHEMA}."
            )
    return (
        parse_verdicts(files["verdicts.json"], "verdicts.json"),
        tuple(EvidenceFile(data=files[t], evidence=parse_evidence(files[t], t)) for t in evidence_names),
        tuple(ClaimsSource(data=files[title], file=parse_claims(files[title], title)) for title in claims_names),
    )


def _require_rules(stated: Verdicts) -> None:
    if stated.rules_version != RULES_VERSION:
        raise _DifferentVersionError(
            f"The verdicts follow rules version {stated.rules_version}; this is version {RULES_VERSION}. {_who(stated)}"
        )


def _who(stated: Verdicts) -> str:
    return f"Verify with moe-validation {stated.suite.version}, commit {stated.suite.commit[:12]}."


def _require_version(data: bytes, title: str, expected: int) -> None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{title} is no JSON: {error!s:.100}.") from None
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != expected:
        raise _DifferentVersionError(
            f"{title} has schema_version {version!r}; this suite reads {expected}. "
            "Verify with the version that wrote it."
        )


def _hash_differences(
    stated: Verdicts, evidence: tuple[EvidenceFile, ...], claims: tuple[ClaimsSource, ...]
) -> Iterator[str]:
    said = {reference.sha256 for reference in stated.evidence}
    held = {file.sha256 for file in evidence}
    for digest in sorted(held - said):
        yield f"evidence with sha256 {digest} is embedded; verdicts.json was derived from {_listed(said)}."
    for digest in sorted(said - held):
        yield f"verdicts.json was derived from evidence with sha256 {digest}, which is not embedded."
    found = tuple(source.file.sha256 for source in claims)
    if found != stated.claims_sha256:
        yield (
            f"the claims files have sha256 {_listed(found)}, "
            f"and verdicts.json was derived from {_listed(stated.claims_sha256)}."
        )


def _listed(digests: Iterable[str]) -> str:
    return ", ".join(sorted(digests)) or "none"


def _number(title: str) -> tuple[int, str]:
    found = re.search(r"(\d+)", title)
    return (int(found[1]) if found else 0, title)
