"""The templates filled in: one HTML text for paper, one self-contained file for the screen."""

import base64
import hashlib
from dataclasses import asdict
from functools import partial
from typing import Final, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from validation.report.attached import attachments
from validation.report.document import Document
from validation.report.layout import origin
from validation.report.mark import MARKS
from validation.report.text import FONTS, TEMPLATES, plain, printable
from validation.report.view import COLUMNS
from validation.verdicts.units import duration, significant

Medium = Literal["print", "screen"]

#: The parts after the summary, in order.
_CONTENTS: Final = (
    ("verdicts", "Verdicts"),
    ("correctness", "Correctness"),
    ("performance", "Performance"),
    ("ablations", "Ablations"),
    ("languages", "Cross-language"),
    ("audit", "Arithmetic audit"),
    ("environment", "Environment"),
    ("limitations", "Limitations"),
    ("reproduction", "Reproduction"),
    ("tables", "Glossary, tables"),
)


def render(document: Document, medium: Medium) -> str:
    """Returns the report as HTML; text from outside is data in it, never markup.

    For the screen the fonts are inside; for print they are read from the template folder.
    """
    clean = plain if medium == "screen" else printable

    def finalize(value: object) -> object:
        return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader(TEMPLATES),
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"us": lambda ns: duration(ns / 1e3), "significant": significant}
    environment.globals |= {"font": partial(_font, medium), "read": _read}
    return environment.get_template("report.html.j2").render(
        d=document,
        m=document.material,
        medium=medium,
        marks=MARKS,
        columns=COLUMNS,
        contents=_CONTENTS,
        attached=[(name, hashlib.sha256(data).hexdigest()) for name, data, _ in attachments(document.material)],
        origin=origin(),
        strip_data=lambda made: [asdict(strip) for strip in made],
    )


def _font(medium: Medium, name: str) -> Markup:
    if medium == "print":
        return Markup(f"fonts/{name}.woff2")  # noqa: S704 - a name from our own stylesheet
    data = base64.b64encode((FONTS / f"{name}.woff2").read_bytes()).decode()
    return Markup(f"data:font/woff2;base64,{data}")  # noqa: S704 - base64 holds no markup


def _read(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text())  # noqa: S704 - our own stylesheet or script
