"""A layer that notes which of its options a kernel looks at.

Used in a process where nothing is timed and no output is judged: a kernel that finds out gains nothing by it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import CodeType

#: What the module of Layer and LayerConfig is called in a worker.
LAYER_MODULE: Final = "moe-validation's layer"

#: Modules that read every field of a record, whatever the kernel is after: `asdict`, `replace`, `repr`, `==`, `copy`.
_WHOLESALE: Final = frozenset({"dataclasses", LAYER_MODULE, "copy", "pickle", "pprint"})

#: An instruction that reads this many different fields goes through all of them, and asks for none.
_MOST_NAMES: Final = 3


class Looks:
    """Every field read, by the instruction that read it."""

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self._by_place: dict[tuple[CodeType, int], set[str]] = {}

    def note(self, name: str) -> None:
        """Notes that the kernel's code reads `name`: called by the reading of it, two frames up."""
        frame = sys._getframe(2)  # noqa: SLF001 -- who reads decides what the reading means
        if frame.f_globals.get("__name__") not in _WHOLESALE:
            self._by_place.setdefault((frame.f_code, frame.f_lasti), set()).add(name)

    def names(self) -> list[str]:
        """Returns the names looked at for themselves."""
        return sorted({name for names in self._by_place.values() if len(names) < _MOST_NAMES for name in names})


def watched(layer: Any, looks: Looks) -> Any:  # noqa: ANN401 -- a record loaded by path has no type here
    """Returns an equal layer, of a class that looks the same, which notes what is read of it and of its config."""
    config = _noting(type(layer.config), looks)(**_values(layer.config))
    return _noting(type(layer), looks)(**{**_values(layer), "config": config})


def _values(record: Any) -> dict[str, Any]:  # noqa: ANN401 -- as above
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _noting(kind: type, looks: Looks) -> type:
    names = frozenset(kind.__dataclass_fields__)  # type: ignore[attr-defined]  # Layer and LayerConfig are dataclasses

    def read(self: object, name: str) -> Any:  # noqa: ANN401 -- as above
        if name in names:
            looks.note(name)
        return object.__getattribute__(self, name)

    body = {"__getattribute__": read, "__slots__": (), "__doc__": kind.__doc__, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), body)
