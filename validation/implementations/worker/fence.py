"""What a candidate may not reach: imports refused, and doings reported to the parent as they happen.

An audit hook cannot be removed once installed (PEP 578), and what it reports has left the process before the event it
reports takes place.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec

    #: What is reported of an event with its arguments: its name and one argument, or nothing.
    _Told = Callable[[str, tuple[Any, ...]], tuple[str, str] | None]

#: Events reported whatever their arguments: a process, a signal, a socket, a search through the heap, a function that
#: Python is to call wherever any other begins, the harness's too.
REPORTED: Final = frozenset(
    {
        "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen", "pty.spawn",
        "os.kill", "os.killpg", "signal.pthread_kill",
        "socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg",
        "gc.get_objects", "gc.get_referrers", "gc.get_referents",
        "sys.setprofile", "sys.settrace", "sys.monitoring.register_callback",
    }
)  # fmt: skip

#: Functions of the C library that do unheard what is reported of Python; asking ctypes for one is reported.
LIBRARY: Final = frozenset(
    {
        "fork", "vfork", "clone", "execve", "execv", "execvp", "posix_spawn", "system", "popen", "kill", "tgkill",
        "killpg", "open", "open64", "openat", "fopen", "connect", "ptrace", "process_vm_readv", "process_vm_writev",
        "syscall",
    }
)  # fmt: skip

#: Memory of a process, the suite's in the first place; and the files that inputs and weights wait in.
_MEMORY: Final = re.compile(r"/proc/\d+/(task/\d+/)?(mem|map_files/.*)|/memfd:(arena|staging|weights).*")

#: Flags of an opening after which a file can be other than it was.
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

#: Events that change a folder or a file by its path: at which of their arguments a path stands, and the descriptor of
#: the folder that it starts from, where there may be one. A link is a second name for what may not be written.
_CHANGES: Final = {
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.mkdir": ((0, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
}

#: What an opening for writing is reported as.
WRITTEN: Final = "open for writing"

#: A report is cut to this length: written at once, it stays below PIPE_BUF (4096) and is never torn.
_MOST_ARGUMENT: Final = 400


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
        return _within([*self.forbidden, *self.guarded], self.own)


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
    sys.addaudithook(_hook(descriptor, folders, judge))


def _hook(descriptor: int, folders: Folders, judge: int) -> Callable[[str, tuple[Any, ...]], None]:
    # Bound here, before the candidate is loaded, so that patching a module does not reach them.
    write, dumps, said_of = os.write, json.dumps, {"open": _opened(folders), **_changed(folders), **_spoken()}
    said: set[tuple[str, str]] = set()
    # The suite, who forked this process, their groups, everybody.
    judges = frozenset({judge, -judge, os.getppid(), -os.getppid(), -1})

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in said_of:
            return
        report = said_of[event](event, arguments)
        if report is None:
            return
        if report not in said:
            said.add(report)
            # A closed descriptor tells the parent enough: it sees the end of the stream.
            with suppress(OSError):
                write(descriptor, dumps(report).encode() + b"\n")
        if event in {"os.kill", "os.killpg"} and arguments[0] in judges:
            raise PermissionError("a candidate may send no signal to who judges it")

    return hook


def _opened(folders: Folders) -> _Told:
    """What is reported of an opening: memory and forbidden files however, guarded ones where they may be written."""
    memory, reads, writes, places_of = _MEMORY.fullmatch, folders.reads(), folders.writes(), _resolver()
    path_like, writing, written = os.PathLike, _WRITING, WRITTEN

    def told(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        # A descriptor was opened by an event of its own.
        if not isinstance(arguments[0], str | bytes | path_like):
            return None
        place = places_of(arguments[0])[0]
        if memory(place) is not None or reads(place):
            return event, place
        return (written, place) if arguments[2] & writing and writes(place) else None

    return told


def _changed(folders: Folders) -> dict[str, _Told]:
    """What is reported of each event that changes a file by its path, by the event."""
    writes, places_of = folders.writes(), _resolver()

    def teller(stands: tuple[tuple[int, int | None], ...]) -> _Told:
        def told(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
            for path, folder in stands:
                for place in places_of(arguments[path], -1 if folder is None else arguments[folder]):
                    if writes(place):
                        return event, place
            return None

        return told

    return {event: teller(stands) for event, stands in _CHANGES.items()}


def _spoken() -> dict[str, _Told]:
    """What is reported of each event that is reported wherever it happens, by the event."""
    library, most, short = LIBRARY, _MOST_ARGUMENT, _short

    def asked(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        return (event, str(arguments[1])) if arguments[1] in library else None

    def told(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        return event, ", ".join(short(value) for value in arguments)[:most]

    return {"ctypes.dlsym": asked, **dict.fromkeys(REPORTED, told)}


def _resolver() -> Callable[..., tuple[str, str]]:
    """Returns what gives the real path that a path leads to, and that of the name itself, which may be a link."""
    realpath, split, join, fsdecode = os.path.realpath, os.path.split, os.path.join, os.fsdecode

    def places(path: str | bytes | os.PathLike[str] | int, folder: int = -1) -> tuple[str, str]:
        """A number is an open file. A relative path starts from the open `folder`, where one is given."""
        name = f"/proc/self/fd/{path}" if isinstance(path, int) else fsdecode(path)
        if folder >= 0:
            name = join(f"/proc/self/fd/{folder}", name)
        above, last = split(name)
        return realpath(name), join(realpath(above), last)

    return places


def _short(value: object) -> str:
    """A plain value as it reads, anything else by its type: `repr` of a kernel's object would run its code."""
    return repr(value) if type(value) in {str, bytes, int, type(None)} else type(value).__name__


def _holds(entry: Path, top: str, roots: tuple[Path, ...]) -> bool:
    return any((entry / top).resolve() == root.resolve() for root in roots)
