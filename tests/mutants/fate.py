"""What became of each mutant, kept with the sources it was made from: a run that is cut off goes on where it was."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from validation.evidence.atomic import write_atomically
from validation.record import Record

_ROOT: Final = Path(__file__).parents[2]
FATES: Final = _ROOT / "build" / "mutants.json"

_DECISIVE: Final = (
    "kernels/moe/*.mojo",
    "kernels/bindings/*.mojo",
    "tests/mutants/catalogue.py",
    "validation/correctness/*.py",
    "validation/workloads/*.py",
    "validation/implementations/mojo_kernel.py",
    "reference/oracle.py",
)


class Fate(Record):
    """A mutant's file and name, and what killed it; nothing of a survivor, which `equivalent` may explain."""

    mutant: str
    killed_by: str = ""
    equivalent: str = ""

    @property
    def line(self) -> str:
        """What became of it, in words."""
        told = f"killed by {self.killed_by}" if self.killed_by else f"survived: {self.equivalent or 'NOT EXPLAINED'}"
        return f"{self.mutant}: {told}"


class Fates(Record):
    """Of all that were tried with the kernel, the catalogue and the suite of the `sources` digest."""

    sources: str
    fates: tuple[Fate, ...] = ()

    @property
    def sentence(self) -> str:
        """The score."""
        killed = sum(bool(one.killed_by) for one in self.fates)
        equivalent = sum(bool(one.equivalent) for one in self.fates if not one.killed_by)
        return f"{killed} of {len(self.fates) - equivalent} mutants killed; {equivalent} more are equivalent."

    @property
    def unexplained(self) -> tuple[Fate, ...]:
        """The survivors that are not known to be equivalent."""
        return tuple(one for one in self.fates if not one.killed_by and not one.equivalent)

    def of(self, mutant: str) -> Fate | None:
        """Returns what became of it, None where it was not tried."""
        return next((one for one in self.fates if one.mutant == mutant), None)

    def told(self, fate: Fate, path: Path = FATES) -> Fates:
        """Returns these with another, and keeps them."""
        more = self.model_copy(update={"fates": (*self.fates, fate)})
        write_atomically(path, more.model_dump_json(indent=1).encode() + b"\n")
        return more


def digest() -> str:
    """Returns the sha256 of the kernel's sources, the catalogue and what decides whether a case fails."""
    found = hashlib.sha256()
    for path in sorted(path for pattern in _DECISIVE for path in _ROOT.glob(pattern)):
        if not path.name.startswith("planted"):
            found.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def kept(sources: str, path: Path = FATES) -> Fates:
    """Returns what was tried with these sources so far."""
    try:
        fates = Fates.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Fates(sources=sources)
    return fates if fates.sources == sources else Fates(sources=sources)
