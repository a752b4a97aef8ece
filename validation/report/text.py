"""Text of strangers, made harmless: nothing in it is drawn that a reader cannot see."""

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
    return "".join(
        char if char in "\n\t" or ord(char) in characters() else f"[U+{ord(char):04X}]" for char in plain(text)
    )


@cache
def characters() -> frozenset[int]:
    """The code points that every one of our fonts has."""
    maps = [frozenset(TTFont(path).getBestCmap()) for path in sorted(FONTS.glob("*.woff2"))]
    return frozenset.intersection(*maps)
