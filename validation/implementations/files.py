"""The files that the suite and its baselines are made of: whether any is another than it was."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT: Final = Path(__file__).resolve().parents[2]

#: Ours, by what they hold; and packages that references compute with, which are too large to read, by size and time of
#: writing. Not what is built, nor kernels: another process may build it meanwhile, a candidate may lie there.
_OURS: Final = ("validation", "reference")
_PACKAGES: Final = ("torch", "numpy")

#: Python writes there whenever a module is first imported.
_CACHES: Final = "__pycache__"

AS_THEY_WERE: Final = "as they were"


class Files:
    """Every such file, seen once: 13,000 of them in 0.1 s.

    Native code writes into a file unheard by Python. It can put the time of writing back as well: of a package's file
    that is not seen. Nor is what Python cached.
    """

    def __init__(self, read: tuple[Path, ...] | None = None, packages: tuple[Path, ...] | None = None) -> None:
        """Looks at the files below `read`, by what they hold, and below `packages`; without any, at the usual ones."""
        self._read = tuple(_ROOT / name for name in _OURS) if read is None else read
        self._packages = tuple(filter(None, map(_package, _PACKAGES))) if packages is None else packages
        self._before = self._look()

    def changed(self) -> str:
        """Returns AS_THEY_WERE, or which file is not, the first by its path."""
        now = self._look()
        other = [path for path in self._before.keys() | now.keys() if self._before.get(path) != now.get(path)]
        return f"{min(other)} was written, made or removed" if other else AS_THEY_WERE

    def _look(self) -> dict[str, object]:
        return {**_each(self._read, _content), **_each(self._packages, _size_and_time)}


def _each(folders: tuple[Path, ...], seen: Callable[[os.DirEntry[str]], object]) -> dict[str, object]:
    """What is `seen` of every file in the folders, by its path."""
    found: dict[str, object] = {}
    for entry in chain.from_iterable(map(_below, folders)):
        # Gone since: it differs from what it was by that.
        with suppress(OSError):
            found[entry.path] = seen(entry)
    return found


def _content(entry: os.DirEntry[str]) -> bytes:
    return hashlib.sha256(Path(entry.path).read_bytes()).digest()


def _size_and_time(entry: os.DirEntry[str]) -> tuple[int, int]:
    seen = entry.stat(follow_symlinks=False)
    return seen.st_size, seen.st_mtime_ns


def _below(folder: Path) -> list[os.DirEntry[str]]:
    """The files in a folder, however deep."""
    found: list[os.DirEntry[str]] = []
    folders = [str(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    found.append(entry)
                elif entry.name != _CACHES:
                    folders.append(entry.path)
    return found


def _package(name: str) -> Path | None:
    spec = find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None
