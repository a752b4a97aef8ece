"""Every dependency is pinned once, in constraints.txt, and nothing there names where it was fetched."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS: Final = dict(
    re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
)


def _dependencies() -> list[str]:
    extras = PROJECT["optional-dependencies"].values()
    return [*PROJECT["dependencies"], *(name for extra in extras for name in extra)]


@pytest.mark.parametrize("name", _dependencies())
def test_a_dependency_is_pinned_and_only_there(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", name), "versions belong into constraints.txt"
    assert name in PINS


@pytest.mark.parametrize(("name", "version"), [("torch", "2.13.0"), ("mojo", "1.2.0"), ("weasyprint", "70.0")])
def test_what_figures_and_looks_hang_on_has_the_version_that_was_studied(name: str, version: str) -> None:
    assert PINS[name] == version


def test_no_pin_names_an_index() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text()
