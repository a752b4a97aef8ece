"""Puts what a command measured into docs/CPU_KERNEL.md, under the line that names the command."""

from pathlib import Path
from typing import Final

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "CPU_KERNEL.md"


def write(mark: str, block: str, document: Path = DOCUMENT) -> None:
    """Puts a block without empty lines at its ends below `mark`, in the place of the last one; an empty line ends it.

    A fenced block ends with its fence.
    """
    before, found, after = document.read_text().partition(mark)
    if not found:
        raise SystemExit(f"{document} must hold the line {mark}, after which the table goes; it does not")
    rest = after.lstrip("\n")
    if rest.startswith("```"):
        rest = rest.partition("\n```\n")[2].lstrip("\n")
    elif rest.startswith("|"):
        rest = rest.partition("\n\n")[2]
    document.write_text(f"{before}{mark}\n{block}\n\n{rest}")
