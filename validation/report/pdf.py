"""HTML to PDF/A-3a with its sources inside: the same material gives the same bytes."""

import hashlib
import io
import logging
import warnings
from datetime import UTC, datetime
from typing import Final

import weasyprint
from weasyprint.urls import URLFetcher, URLFetcherResponse

from validation.report.attached import attachments
from validation.report.document import Document
from validation.report.html import render
from validation.report.text import FONTS, TEMPLATES, truetype

_ROOT: Final = TEMPLATES.as_uri() + "/"
_FONTS: Final = {path.as_uri(): path.stem for path in FONTS.glob("*.woff2")}


class ForbiddenSourceError(ValueError):
    """The document asks for something outside the template folder."""


class ClosedFetcher(URLFetcher):  # type: ignore[misc]  # weasyprint has no type stubs
    """Reads data: URLs and the template folder, and nothing else in the world."""

    def fetch(self, url: str, headers: dict[str, str] | None = None) -> URLFetcherResponse:
        """Returns what `url` names; raises ForbiddenSourceError for any other source."""
        if not url.startswith("data:") and (not url.startswith(_ROOT) or ".." in url or "%" in url):
            raise ForbiddenSourceError(f"a report reads only data: URLs and its own templates; got {url[:200]!r}")
        if url in _FONTS:
            return URLFetcherResponse(url, body=truetype(_FONTS[url]), headers={"Content-Type": "font/ttf"})
        return super().fetch(url, headers)


def write_pdf(document: Document) -> bytes:
    """Returns the report as PDF/A-3a: tagged, bookmarked, with its evidence attached.

    Raises:
        RuntimeError: the renderer complained; a report with a hole in it is not written.
    """
    material = document.material
    at = _timestamp(material.recorded_at)
    complaints = _Complaints()
    logger = logging.getLogger("weasyprint")
    logger.addHandler(complaints)
    try:
        with warnings.catch_warnings():
            # WeasyPrint 70.0 leaves its colour profile open for the garbage collector to close.
            warnings.filterwarnings("ignore", category=ResourceWarning, message=".*sRGB2014")
            pdf = weasyprint.HTML(
                string=render(document, "print"),
                base_url=_ROOT,
                url_fetcher=ClosedFetcher(allowed_protocols=["data", "file"]),
            ).write_pdf(
                pdf_variant="pdf/a-3a",
                pdf_identifier=hashlib.sha256(material.evidence_sha256.encode() + material.verdicts_data).digest()[:16],
                custom_metadata=True,
                attachments=[
                    weasyprint.Attachment(
                        file_obj=io.BytesIO(data),
                        name=name,
                        description=text,
                        relationship="Data",
                        created=at,
                        modified=at,
                    )
                    for name, data, text in attachments(material)
                ],
            )
    finally:
        logger.removeHandler(complaints)
    if complaints.lines:
        raise RuntimeError(f"the PDF renderer complained: {'; '.join(complaints.lines[:5])}")
    return bytes(pdf)


class _Complaints(logging.Handler):
    """Keeps every warning: each is a part of the report that did not come out as written."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _timestamp(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    except ValueError:
        # A recorded_at that is no timestamp is the evidence's fault and shown as it is; the file still needs a date.
        return datetime(2000, 1, 1)  # noqa: DTZ001 - as above
