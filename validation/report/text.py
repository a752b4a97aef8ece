"""Text of strangers, made harmless: nothing in it is drawn that a reader cannot see."""

import io
import unicodedata
from functools import cache
from pathlib import Path
from typing import Final

from fontTools.ttLib import TTFont

TEMPLATES: Final = Path(__file__).resolve().parents[2] / "report_templates"
FONTS: Final = TEMPLATES / "fonts"

#: Control characters, surrogates, private use and the direction overrides that make text read other than it is.
_UNSEEN: Final = frozenset({"Cc", "Cs", "Co", "Cn"})
_OVERRIDES: Final = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)))
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def plain(text: str) -> str:
    """Returns `text` with every character that is not seen or that reorders others replaced by U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char
        if char in "\n\t" or (unicodedata.category(char) not in _UNSEEN and char not in _OVERRIDES)
        else _REPLACEMENT
        for char in text
    )


def drawable(text: str) -> str:
    """Returns `text` on one line, for a chart: what our fonts cannot draw becomes U+FFFD."""
    return "".join(char if ord(char) in characters() else _REPLACEMENT for char in " ".join(plain(text).split()))


def printable(text: str) -> str:
    """Returns `text` for the PDF: what our fonts cannot draw is written as its code point, `[U+1F680]`.

    A font of the machine would make the PDF's bytes depend on it, and emoji fonts hold raster images.
    """
    # Every font of ours has these; nine in ten texts of a report are of them, base64 of its charts among them.
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char in "\n\t" or ord(char) in characters() else f"[U+{ord(char):04X}]" for char in plain(text)
    )


@cache
def truetype(name: str) -> bytes:
    """Our font `name`, unpacked from WOFF2 once per process: the charts and the PDF both need it, 0.2 s each time."""
    # Else the hour of unpacking would stand in the font, and with it in every PDF.
    font = TTFont(FONTS / f"{name}.woff2", recalcTimestamp=False)
    font.flavor = None
    unpacked = io.BytesIO()
    font.save(unpacked)
    return unpacked.getvalue()


@cache
def characters() -> frozenset[int]:
    """The code points that every one of our fonts has."""
    names = sorted(path.stem for path in FONTS.glob("*.woff2"))
    return frozenset.intersection(*(frozenset(TTFont(io.BytesIO(truetype(name))).getBestCmap()) for name in names))
