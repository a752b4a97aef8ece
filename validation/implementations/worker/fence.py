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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec

#: Events reported whatever their arguments: a process, a signal, a socket, a search through the heap.
REPORTED: Final = frozenset(
    {
        "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen", "pty.spawn",
        "os.kill", "os.killpg", "signal.pthread_kill",
        "socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg",
        "gc.get_objects", "gc.get_referrers", "gc.get_referents",
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


def report_doings(descriptor: int, forbidden: Sequence[str], allowed: Sequence[str], judge: int) -> None:
    """From now on every reported event, and every opening of a file under `forbidden` or of memory, is reported.

    A report is a line on `descriptor`. Signals to `judge`, the suite's process, and to this one's parent are refused.

    `allowed` are the kernel's own files under `forbidden`, which may be opened; a folder allows what is in it.
    """
    roots = tuple(os.path.realpath(root) + os.sep for root in forbidden)
    own = [os.path.realpath(path) for path in allowed]
    folders = tuple(path + os.sep for path in own if os.path.isdir(path))  # noqa: PTH112 -- as plain as it can be
    sys.addaudithook(_hook(descriptor, roots, frozenset(own), folders, judge))


def _hook(
    descriptor: int, roots: tuple[str, ...], allowed: frozenset[str], folders: tuple[str, ...], judge: int
) -> Callable[[str, tuple[Any, ...]], None]:
    # Bound here, before the candidate is loaded, so that patching a module does not reach them.
    write, realpath, fsdecode, dumps, reported = os.write, os.path.realpath, os.fsdecode, json.dumps, REPORTED
    memory = _MEMORY.fullmatch
    said: set[tuple[str, str]] = set()
    # The suite, who forked this process, their groups, everybody.
    judges = frozenset({judge, -judge, os.getppid(), -os.getppid(), -1})

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if not isinstance(arguments[0], str | bytes):
                return
            argument = realpath(fsdecode(arguments[0]))
            if memory(argument) is None and (
                argument in allowed or argument.startswith(folders) or not argument.startswith(roots)
            ):
                return
        elif event == "ctypes.dlsym":
            if arguments[1] not in LIBRARY:
                return
            argument = str(arguments[1])
        elif event in reported:
            argument = ", ".join(_short(value) for value in arguments)[:_MOST_ARGUMENT]
        else:
            return
        if (event, argument) not in said:
            said.add((event, argument))
            # A closed descriptor tells the parent enough: it sees the end of the stream.
            with suppress(OSError):
                write(descriptor, dumps([event, argument]).encode() + b"\n")
        if event in {"os.kill", "os.killpg"} and arguments[0] in judges:
            raise PermissionError("a candidate may send no signal to who judges it")

    return hook


def _short(value: object) -> str:
    """A plain value as it reads, anything else by its type: `repr` of a kernel's object would run its code."""
    return repr(value) if type(value) in {str, bytes, int, type(None)} else type(value).__name__


def _holds(entry: Path, top: str, roots: tuple[Path, ...]) -> bool:
    return any((entry / top).resolve() == root.resolve() for root in roots)
