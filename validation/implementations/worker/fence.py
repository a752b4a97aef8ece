"""What a candidate may not reach: imports refused, and doings reported to the parent as they happen.

Python removes no audit hook once it is installed (PEP 578), and what it reports has left the process before the event
that it reports. Native code can take it out of the interpreter's memory: `Worker.state` asks whether it is there.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import hook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec


#: Inside guarded folders of the system, and free: no baseline is loaded from sources, and images keep applications
#: there (/usr/src/app); the rest is this process's own.
_SPARED: Final = ("/usr/src", "/usr/local/src", "/proc/self")


class RefusingFinder:
    """The first finder on sys.meta_path: refuses our own packages by name, where they are ours."""

    def __init__(self, names: Sequence[str], roots: Sequence[Path]) -> None:
        """Refuses `names` when they would be found in `roots`, the folders that hold our packages."""
        self._names = frozenset(names)
        self._roots = tuple(roots)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """Returns None, so that others look, unless the name is ours.

        Raises:
            ModuleNotFoundError: the module is the suite's or a reference's.
        """
        del path, target
        top = name.partition(".")[0]
        if top in self._names and any(_holds(Path(entry or "."), top, self._roots) for entry in sys.path):
            raise ModuleNotFoundError(f"No module named {name!r}: a candidate's process cannot import it", name=name)
        return None


def refuse_imports(names: Sequence[str], roots: Sequence[str]) -> None:
    """From now on `import validation` and `import reference` fail as if they were not installed."""
    sys.meta_path.insert(0, RefusingFinder(names, [Path(root) for root in roots]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where files may not be read, or not be written. What is in a folder is meant, however deep.

    `forbidden`: neither; `guarded`: not written. `allowed` are files and folders under `forbidden` that may be read all
    the same; `own` is the kernel's folder, where it is a package of several files, and may be written too.
    """

    forbidden: Sequence[str]
    guarded: Sequence[str]
    allowed: Sequence[str]
    own: Sequence[str]

    def reads(self) -> Callable[[str], bool]:
        """Returns what tells whether reading the file of a real path is reported."""
        return _within(self.forbidden, self.allowed)

    def writes(self) -> Callable[[str], bool]:
        """Returns what tells whether writing the file of a real path is reported."""
        roots, spares = [*self.forbidden, *self.guarded], _within(_SPARED, [])
        # The suite may be installed in /usr/src/app itself: a folder guarded by its own name remains so.
        named = _within([root for root in roots if spares(os.path.realpath(root))], self.own)
        others = _within(roots, [*self.own, *_SPARED])
        return lambda path: others(path) or named(path)


def _within(roots: Sequence[str], but: Sequence[str]) -> Callable[[str], bool]:
    """Whether a real path lies in one of `roots`, and neither is nor lies in one of `but`."""
    inside = tuple(os.path.realpath(root) + os.sep for root in roots)
    spared = [os.path.realpath(path) for path in but]
    files, folders = frozenset(spared), tuple(path + os.sep for path in spared)
    return lambda path: path.startswith(inside) and path not in files and not path.startswith(folders)


def report_doings(descriptor: int, folders: Folders, judge: int) -> None:
    """From now on every reported event, and what is read and written where `folders` forbid it, is reported.

    So is every opening of memory. A report is a line on `descriptor`. Signals to `judge`, the suite's process, and to
    this one's parent are refused.
    """
    # The suite, who forked this process, their groups, everybody.
    judges = frozenset({judge, -judge, os.getppid(), -os.getppid(), -1})
    apart = hook.apart(hook.__file__)
    sys.addaudithook(apart["hook"](descriptor, folders.reads(), folders.writes(), judges))


def _holds(entry: Path, top: str, roots: tuple[Path, ...]) -> bool:
    return any((entry / top).resolve() == root.resolve() for root in roots)
