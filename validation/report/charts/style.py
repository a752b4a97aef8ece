"""The look that all charts share, and the way a figure becomes an image with a sentence beside it."""

import base64
import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.textpath import text_to_path

from validation.report.text import drawable, truetype

INK: Final = "#1b1f24"
MUTED: Final = "#545d69"
RULE: Final = "#d5d8dc"
CLAIM: Final = "#6b3fb5"
BEYOND: Final = "#e6e8eb"
CANDIDATE: Final = "#0b6e4f"
#: A bar beside the candidate's: in black and white a lighter grey, on white still 3:1.
BESIDE: Final = "#8b949e"

#: Width of the text block of a page, in inches; charts are drawn at their printed size, so 7.5 pt is 7.5 pt.
PAGE_WIDTH: Final = 174 / 25.4
#: Two of these stand side by side.
HALF_WIDTH: Final = 84 / 25.4
SMALL: Final = 7.0

_STYLE: Final[Mapping[str, object]] = {
    "svg.hashsalt": "moe-validation",
    # A dollar sign in somebody's claim is a dollar sign.
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": ["IBM Plex Sans"],
    "font.size": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 8.5,
    "axes.titleweight": 600,
    "axes.titlelocation": "left",
    "axes.unicode_minus": True,
    "grid.linewidth": 0.35,
    "grid.color": RULE,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.2,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "path.simplify": True,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawn figure, the sentence that states what it shows, and its caption.

    `paper` holds its letters as text, which the PDF shows with its own fonts: WeasyPrint draws it in a seventh of the
    time, and a reader can search it. `screen` holds them as outlines: a browser gives an image no font of the page.
    """

    paper: str
    screen: str
    alt: str
    caption: str

    def uri(self, medium: str) -> str:
        """The SVG as a data URI: it stays vector, and carries its alternative text into the PDF."""
        svg = self.paper if medium == "print" else self.screen
        return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """Gives an empty figure of the given size in inches, in the shared style."""
    _load_fonts()
    with mpl.rc_context({**_STYLE}), warnings.catch_warnings():  # type: ignore[dict-item]  # matplotlib's stub wants literal keys
        warnings.filterwarnings("ignore", message=".*constrained_layout not applied.*")
        yield Figure(figsize=(width, height))


def chart_of(figure: Figure, *, alt: str, caption: str) -> Chart:
    """Returns the figure as a chart; the same figure gives the same text."""
    return Chart(paper=_svg(figure, "none"), screen=_svg(figure, "path"), alt=alt, caption=caption)


def _svg(figure: Figure, letters: str) -> str:
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": letters}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    assert "<image" not in text, "a chart was rasterised"
    return text[text.index("<svg") :]


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Returns the width of one line in inches."""
    if not text:
        return 0.0
    return _points(text, bold) * size / 72


@lru_cache(maxsize=4096)
def _points(text: str, bold: bool) -> float:  # noqa: FBT001 - a cache takes no keywords
    """Width at one point: measured at 100, where hinting rounds nothing away."""
    font = _font(bold=bold).copy()
    font.set_size(100)
    with mpl.rc_context({"text.parse_math": False}):
        width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 100


def fit(text: str, width: float, size: float, lines: int = 1, *, bold: bool = False) -> str:
    """Returns `text` broken into at most `lines` lines of `width` inches, cut with an ellipsis where it is longer."""
    words, line = drawable(text).split(" "), ""
    done: list[str] = []
    while words:
        word = words.pop(0)
        joined = f"{line} {word}".strip()
        if text_width(joined, size, bold=bold) <= width:
            line = joined
        elif line and len(done) + 1 < lines:
            done.append(line)
            line = ""
            words.insert(0, word)
        else:
            line = _cut(joined, width, size, bold=bold)
            break
    return "\n".join([*done, line])


def _cut(text: str, width: float, size: float, *, bold: bool) -> str:
    low, high = 0, min(len(text), 400)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle] + "…", size, bold=bold) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


@cache
def _font(*, bold: bool) -> font_manager.FontProperties:
    _load_fonts()
    return font_manager.FontProperties(family=["IBM Plex Sans"], weight=600 if bold else 400)


@cache
def _load_fonts() -> tempfile.TemporaryDirectory[str]:
    """Our fonts as files: matplotlib reads only these, and no WOFF2."""
    folder = tempfile.TemporaryDirectory(prefix="moe-validation-fonts-")
    for name in ("IBMPlexSans-Regular", "IBMPlexSans-SemiBold"):
        path = Path(folder.name) / f"{name}.ttf"
        path.write_bytes(truetype(name))
        font_manager.fontManager.addfont(path)
    return folder


def time_label(microseconds: float) -> str:
    """Returns a tick's label: 3 ms."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:g} {unit}"
    return f"{microseconds:g} µs"
