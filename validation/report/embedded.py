"""What is inside a report: its attachments, taken out within limits."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pikepdf

from validation.evidence.store import MAX_BYTES
from validation.usage import UsageError

#: A report of 200,000 samples is 1.5 MB; forty times that is none of ours.
MAX_PDF_BYTES: Final = 64 << 20
#: The most one attachment unpacks to: what the evidence store itself accepts.
MAX_ATTACHMENT_BYTES: Final = MAX_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """The attachments by name, and what the report says of its making."""

    files: dict[str, bytes]
    origin: str


def read_pdf(path: Path) -> bytes:
    """Returns the bytes of a PDF.

    Raises:
        UsageError: there is no such file, or it is unreadable, too large or no PDF.
    """
    try:
        if path.stat().st_size > MAX_PDF_BYTES:
            raise UsageError(
                f"{path} must hold at most {MAX_PDF_BYTES >> 20} MiB; it holds {path.stat().st_size >> 20} MiB."
            )
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} must be a readable report; {error.strerror}. Give the path of a report.pdf."
        ) from None
    if not data.startswith(b"%PDF-"):
        raise UsageError(f"{path} must be a PDF that `moe-validation` wrote; it does not begin with %PDF-.")
    return data


def take_out(pdf: pikepdf.Pdf, name: str) -> Embedded:
    """Returns what is embedded in a report called `name`.

    Raises:
        UsageError: it embeds no evidence or no verdicts, or an attachment cannot be unpacked.
    """
    files: dict[str, bytes] = {}
    for title, spec in pdf.attachments.items():
        files[title] = _unpack(spec.obj.EF.F, f"{name}: attachment {title[:80]!r}")
    if "verdicts.json" not in files or not any(title.startswith("evidence") for title in files):
        held = ", ".join(sorted(title[:40] for title in files)) or "nothing"
        raise UsageError(
            f"{name} must embed evidence.json and verdicts.json, as every report of ours does; it embeds {held}."
        )
    origin = str(pdf.docinfo.get("/Keywords", "")) if "/Info" in pdf.trailer else ""
    return Embedded(files=files, origin=origin)


def _unpack(stream: pikepdf.Object, what: str) -> bytes:
    """A few kilobytes can unpack to gigabytes, so that the limit is kept while unpacking."""
    raw = stream.read_raw_bytes()
    filters = stream.get("/Filter")
    if filters is None:
        return bytes(raw)
    if filters not in (pikepdf.Name.FlateDecode, [pikepdf.Name.FlateDecode]):
        raise UsageError(f"{what} must be stored plain or as FlateDecode; got {filters!s:.60}.")
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(raw, MAX_ATTACHMENT_BYTES)
    except zlib.error as error:
        raise UsageError(f"{what} cannot be unpacked: {error}. Take an unchanged copy of the report.") from None
    if unpacker.unconsumed_tail:
        raise UsageError(f"{what} must unpack to at most {MAX_ATTACHMENT_BYTES >> 20} MiB; it is larger.")
    return data
