"""The pages of a report beside a fresh drawing of what its evidence says."""

import difflib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pikepdf

from validation.report.document import compose
from validation.report.layout import layout, renderer
from validation.report.material import Material
from validation.report.pdf import write_pdf
from validation.report.printed import footers, printed_blocks

#: Differences that are told; a forged report has few, a foreign one hundreds.
_TOLD: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs, in sentences; `undecided` when pages of another layout have a table that cannot be matched."""

    differences: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    undecided: bool = False


def compare_pages(pdf: pikepdf.Pdf, data: bytes, origin: str, material: Material) -> Comparison:
    """Returns how the pages differ from those drawn now of the same material.

    Args:
        pdf: the report.
        data: its bytes.
        origin: what it says of its making.
        material: what it embeds.
    """
    fresh_data = write_pdf(compose(material))
    if fresh_data == data:
        return Comparison(remarks=("Every byte is the same as in a report drawn now from the embedded evidence.",))
    with pikepdf.open(io.BytesIO(fresh_data)) as fresh:
        told = list(_text_differences(pdf, fresh))
        if f"layout {layout()}" not in origin and told:
            return _another_layout(pdf, fresh, material)
        changed = [
            str(number)
            for number, (a, b) in enumerate(zip(pdf.pages, fresh.pages, strict=False), 1)
            if _content(a) != _content(b)
        ]
    if told:
        more = [f"{len(told) - _TOLD} more such differences in print."] if len(told) > _TOLD else []
        return Comparison(differences=(*told[:_TOLD], *more))
    where = ", ".join(changed)
    if changed and renderer() in origin:
        return Comparison(
            differences=(f"the drawing of page {where} differs from what the evidence gives; its text does not.",)
        )
    if changed:
        return Comparison(
            remarks=(
                f"Drawn with {origin}; here it is {renderer()}. The text is the same, the drawings were not compared.",
            )
        )
    return Comparison(
        remarks=(
            "The pages are the same as drawn now; the file around them is not (metadata, or saved by another program).",
        )
    )


def _another_layout(pdf: pikepdf.Pdf, fresh: pikepdf.Pdf, material: Material) -> Comparison:
    """Pages laid out by another version: their table and the digest in their footers can still be compared."""
    remark = "The pages were laid out by another version of moe-validation, so their wording was not compared."
    if material.evidence_sha256 not in "".join(footers(pdf)):
        return Comparison(
            differences=(f"no footer prints the sha256 of the evidence, {material.evidence_sha256}.",),
            remarks=(remark,),
        )
    table = set(_rows(pdf))
    missing = [row for row in _rows(fresh) if row not in table]
    if not missing:
        return Comparison(remarks=(remark,))
    # A row in other words is no forgery, and no proof against one either.
    suite = material.verdicts.suite
    untold = (
        "The embedded verdicts follow from the embedded evidence. The printed table has other rows than this version "
        f"prints, {len(missing)} of them, so it was not decided whether it says the same; the first: {missing[0]:.160}"
    )
    who = f"Verify with moe-validation {suite.version}, commit {suite.commit[:12]}."
    return Comparison(undecided=True, remarks=(remark, untold, who))


def _text_differences(pdf: pikepdf.Pdf, fresh: pikepdf.Pdf) -> Iterator[str]:
    for number, (said, found) in enumerate(zip(footers(pdf), footers(fresh), strict=False), 1):
        if said != found:
            yield f"page {number}: the header or footer prints “{said:.120}”; the evidence gives “{found:.120}”."
    if len(pdf.pages) != len(fresh.pages):
        yield f"the report has {len(pdf.pages)} pages; drawn from its evidence it has {len(fresh.pages)}."
    said_blocks, found_blocks = printed_blocks(pdf), printed_blocks(fresh)
    matcher = difflib.SequenceMatcher(
        None, [b.text for b in said_blocks], [b.text for b in found_blocks], autojunk=False
    )
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            continue
        page = said_blocks[min(a, len(said_blocks) - 1)].page if said_blocks else 0
        said = " | ".join(block.text for block in said_blocks[a:b]) or "nothing"
        found = " | ".join(block.text for block in found_blocks[c:d]) or "nothing"
        yield f"page {page} prints “{said:.160}”; the evidence gives “{found:.160}”."


def _rows(pdf: pikepdf.Pdf) -> list[str]:
    """The table cells and headers in runs that begin with a row's header."""
    rows: list[str] = []
    for block in printed_blocks(pdf):
        if block.tag == "/TH":
            rows.append(block.text)
        elif block.tag == "/TD" and rows:
            rows[-1] += f" | {block.text}"
    return [row for row in rows if "/" in row.split(" | ")[0]]


def _content(page: pikepdf.Page) -> bytes:
    """A digest over all that draws on a page, the charts inside it included."""
    digest = hashlib.sha256()
    contents = page.obj.get("/Contents")
    streams = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
    for stream in streams:
        if stream is not None:
            digest.update(stream.read_bytes())
    _add_objects(page.obj.get("/Resources"), digest, 0)
    return digest.digest()


def _add_objects(resources: pikepdf.Object | None, digest: "hashlib._Hash", depth: int) -> None:
    if resources is None or depth > 4:  # noqa: PLR2004 - a chart is one form inside one page
        return
    for name, form in sorted(resources.get("/XObject", {}).items()):
        digest.update(name.encode() + form.read_bytes())
        _add_objects(form.get("/Resources"), digest, depth + 1)
