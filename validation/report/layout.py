"""Which templates and which renderer drew a report, so that a fresh drawing can be compared with it."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from weasyprint.text.ffi import pango

from validation.report.text import TEMPLATES

_LIBRARIES: Final = ("weasyprint", "pydyf", "tinyhtml5", "matplotlib", "fonttools", "jinja2")


@cache
def layout() -> str:
    """The digest of everything of ours that shapes a page: templates, fonts, and this package's code."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    files = [path for path in TEMPLATES.rglob("*") if path.is_file()] + list(package.rglob("*.py"))
    for path in sorted(files, key=lambda path: path.as_posix().split("report", 1)[1]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def renderer() -> str:
    """The libraries that draw, with their versions."""
    return ", ".join([*(f"{name} {version(name)}" for name in _LIBRARIES), f"pango {pango.pango_version()}"])


def origin() -> str:
    """What a report says of its making, as keywords in its metadata."""
    return f"layout {layout()}, {renderer()}"
