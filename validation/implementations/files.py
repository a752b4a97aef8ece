"""The files that the suite and its baselines are made of: whether any is another than it was."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]

#: Ours, and packages that references compute with. Not what is built: another process may build it meanwhile.
_FOLDERS: Final = ("validation", "reference", "kernels")
_PACKAGES: Final = ("torch", "numpy")

#: Python writes there whenever a module is first imported.
_CACHES: Final = "__pycache__"

AS_THEY_WERE: Final = "as they were"


class Files:
    """Inode, size and times of every file, seen once: 13,000 of them in 0.1 s.

    Native code writes into a file unheard by Python, and may put back what stood there, and the time of writing; the
    time of the last change it cannot.
    """

    def __init__(self, folders: tuple[Path, ...] | None = None) -> None:
        """Looks at the files below `folders`; without any at the suite's and its references' packages'."""
        self._folders = folders or (*(_ROOT / name for name in _FOLDERS), *filter(None, map(_package, _PACKAGES)))
        self._before = self._look()

    def changed(self) -> str:
        """Returns AS_THEY_WERE, or which file is not, the first by its path."""
        now = self._look()
        other = [path for path in self._before.keys() | now.keys() if self._before.get(path) != now.get(path)]
        return f"{min(other)} was written, made or removed" if other else AS_THEY_WERE

    def _look(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        folders = [str(folder) for folder in self._folders if folder.is_dir()]
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders += [entry.path] if entry.name != _CACHES else []
                    else:
                        seen = entry.stat(follow_symlinks=False)
                        found[entry.path] = (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        return found


def _package(name: str) -> Path | None:
    spec = find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None
