"""What a tagged PDF says in print: the text of its structure elements, in reading order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pikepdf

#: Elements that are shown on their own; those inside them (spans, links) belong to their text.
_BLOCKS: Final = frozenset(
    {
        "/H1",
        "/H2",
        "/H3",
        "/H4",
        "/P",
        "/TH",
        "/TD",
        "/LI",
        "/Lbl",
        "/LBody",
        "/Figure",
        "/Caption",
        "/BlockQuote",
        "/DT",
        "/DD",
    }
)
#: Structure trees of ours are 12 deep; a deeper one than this is made to exhaust the reader.
_DEEPEST: Final = 200


#: A piece of marked content: its page from 1 and its id there; without an id it belongs to no element.
_Place = tuple[int, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One printed element: its tag, its page from 1, and its text without spaces, which line breaks move."""

    tag: str
    page: int
    text: str


def printed_blocks(pdf: pikepdf.Pdf) -> tuple[Block, ...]:
    """Returns every block of text, and of alternative text, in reading order."""
    return tuple(block for block, _ in _read(pdf) if block.text)


def footers(pdf: pikepdf.Pdf) -> tuple[str, ...]:
    """Returns the text of each page that stands in no block, without spaces: headers, footers, and what was slipped in.

    WeasyPrint marks the text of margin boxes without naming it in the structure tree.
    """
    told = {place for _, places in _read(pdf) for place in places}
    return tuple(
        _squeeze("".join(text for key, text in texts.items() if (number, key) not in told))
        for number, texts in _texts(pdf).items()
    )


def _texts(pdf: pikepdf.Pdf) -> dict[int, dict[int | None, str]]:
    return {number: _marked_text(page) for number, page in enumerate(pdf.pages, 1)}


def _read(pdf: pikepdf.Pdf) -> list[tuple[Block, list[_Place]]]:
    """Every block with the places its text is from."""
    pages = {page.obj.objgen: number for number, page in enumerate(pdf.pages, 1)}
    texts = _texts(pdf)
    root = pdf.Root.get("/StructTreeRoot")
    return [] if root is None else [one for child in _children(root) for one in _walk(child, None, pages, texts, 0)]


def _walk(
    node: pikepdf.Object,
    page: int | None,
    pages: dict[tuple[int, int], int],
    texts: dict[int, dict[int | None, str]],
    depth: int,
) -> Iterator[tuple[Block, list[_Place]]]:
    if depth > _DEEPEST or not isinstance(node, pikepdf.Dictionary):
        return
    page = _page_of(node, pages) or page
    tag = str(node.get("/S", ""))
    if tag in _BLOCKS and not _has_blocks(node, depth):
        places = _gather(node, page, pages, depth)
        text = "".join(texts.get(number, {}).get(key, "") for number, key in places)
        if "/Alt" in node:
            text += str(node["/Alt"])
        yield Block(tag=tag, page=places[0][0] if places else page or 0, text=_squeeze(text)), places
        return
    for child in _children(node):
        yield from _walk(child, page, pages, texts, depth + 1)


def _gather(node: pikepdf.Object, page: int | None, pages: dict[tuple[int, int], int], depth: int) -> list[_Place]:
    """The places of all marked content below a node."""
    page = _page_of(node, pages) or page
    places: list[_Place] = []
    for child in _children(node):
        if isinstance(child, int):
            places.append((page or 0, child))
        elif isinstance(child, pikepdf.Dictionary) and "/MCID" in child:
            places.append((_page_of(child, pages) or page or 0, int(child.MCID)))
        elif isinstance(child, pikepdf.Dictionary) and depth < _DEEPEST:
            places += _gather(child, page, pages, depth + 1)
    return places


def _has_blocks(node: pikepdf.Object, depth: int) -> bool:
    return depth < _DEEPEST and any(
        isinstance(child, pikepdf.Dictionary)
        and "/S" in child
        and (str(child.S) in _BLOCKS or _has_blocks(child, depth + 1))
        for child in _children(node)
    )


def _children(node: pikepdf.Object) -> list[Any]:
    kids = node.get("/K")
    if kids is None:
        return []
    return list(kids) if isinstance(kids, pikepdf.Array) else [kids]


def _page_of(node: pikepdf.Object, pages: dict[tuple[int, int], int]) -> int | None:
    page = node.get("/Pg")
    return None if page is None else pages.get(page.objgen)


def _marked_text(page: pikepdf.Page) -> dict[int | None, str]:
    """The text of a page by marked-content id; None holds what is no content of the document."""
    fonts = {name: _to_unicode(font) for name, font in page.resources.get("/Font", {}).items()}
    texts: dict[int | None, str] = {}
    stack: list[int | None] = []
    current: dict[int, str] = {}
    for instruction in pikepdf.parse_content_stream(page):
        operands: Any = instruction.operands
        match str(instruction.operator):
            case "BDC":
                properties = operands[1]
                inside = isinstance(properties, pikepdf.Dictionary) and "/MCID" in properties
                stack.append(int(properties.MCID) if inside else (stack[-1] if stack else None))
            case "BMC":
                stack.append(stack[-1] if stack else None)
            case "EMC":
                if stack:
                    stack.pop()
            case "Tf":
                current = fonts.get(str(operands[0]), {})
            case "Tj" | "TJ":
                shown = operands[0] if str(instruction.operator) == "TJ" else [operands[0]]
                text = "".join(_decode(bytes(part), current) for part in shown if isinstance(part, pikepdf.String))
                key = stack[-1] if stack else None
                texts[key] = texts.get(key, "") + text
            case _:
                pass
    return texts


def _decode(data: bytes, mapping: dict[int, str]) -> str:
    codes = (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    return "".join(mapping.get(code, "\N{REPLACEMENT CHARACTER}") for code in codes)


def _to_unicode(font: pikepdf.Object) -> dict[int, str]:
    stream = font.get("/ToUnicode")
    if stream is None:
        return {}
    text = stream.read_bytes().decode("latin-1")
    mapping: dict[int, str] = {}
    for body in re.findall(r"beginbfchar(.*?)endbfchar", text, re.DOTALL):
        for code, target in re.findall(r"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]*)>", body):
            mapping[int(code, 16)] = bytes.fromhex(target).decode("utf-16-be", "replace")
    for body in re.findall(r"beginbfrange(.*?)endbfrange", text, re.DOTALL):
        for low, high, target in re.findall(r"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>", body):
            for offset in range(min(int(high, 16) - int(low, 16) + 1, 65536)):
                mapping[int(low, 16) + offset] = chr(int(target, 16) + offset)
    return mapping


def _squeeze(text: str) -> str:
    return re.sub(r"[\s\N{SOFT HYPHEN}\N{ZERO WIDTH SPACE}]+", "", text)
