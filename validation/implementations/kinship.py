"""Who descends from whom: what a worker started, by whatever way, and what it left behind."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from validation.implementations.fork_server import forked

if TYPE_CHECKING:
    from collections.abc import Collection

#: Every descendant of a worker inherits this variable, so that one which left the process group is found.
MARK: Final = "MOE_VALIDATION_WORKER"

#: Of one that is gone, or has wiped it.
_NAMELESS: Final = "a process that does not say how it was started"

#: Processes that stay after torch.compile has compiled: its pool of compilers, and what minds its shared memory.
_KEPT: Final = ("torch/_inductor/compile_worker", "multiprocessing.resource_tracker")


def below(pid: int) -> tuple[int, ...]:
    """Returns the children of a process, their children, and so on."""
    return tuple(one for child in _children(pid) for one in (child, *below(child)))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in thread.read_text(encoding="ascii").split()]
    return found


def strays(forker: int) -> tuple[int, ...]:
    """Returns the live children of a process that forks workers which are none of these, and all below them.

    Workers that end leave them behind; and a kernel can make its own process a child of its parent (clone(2),
    CLONE_PARENT). No mark is asked for, which such a process can write over. Nothing of what no fork server forked.
    """
    workers = forked(forker)
    if workers is None:
        return ()
    found = [one for one in _children(forker) if one not in workers and not _is_dead(one)]
    return tuple(one for child in found for one in (child, *below(child)))


def _is_dead(pid: int) -> bool:
    """Whether nobody has asked yet how a process ended, or it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"
    return True


def descendants(mark: str) -> tuple[int, ...]:
    """Returns the live processes that carry a worker's mark in their environment."""
    folders = (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())
    return tuple(int(one.name) for one in folders if int(one.name) != os.getpid() and _carries(mark, one))


def _carries(mark: str, folder: Path) -> bool:
    """Whether the process of this folder carries a worker's mark."""
    # Gone, another user's, or a kernel thread: none of them is ours.
    with suppress(OSError):
        return f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
    return False


def family(mark: str, pid: int) -> tuple[int, ...]:
    """Returns the worker `pid` and its live descendants: those that carry its mark, and those that wiped it off.

    What is a child of the process that forked it, and no worker, counts as well.
    """
    return tuple({*descendants(mark), *below(pid), *strays(parent(pid))} | {pid})


def kin(mark: str, pid: int, among: Collection[int]) -> dict[int, bool]:
    """Returns those of the processes `among` that descend from the worker `pid`, or carry its mark.

    Whether their time is the kernel's own comes with each: of torch.compile's compilers, which warm up beside the first
    calls, it is not.
    """
    hidden, lower = (set(strays(parent(pid))), set(below(pid))) if among else (set(), set())
    found = [one for one in among if one in hidden | lower or _carries(mark, Path(f"/proc/{one}"))]
    return {one: one in hidden or not _is_kept(one) for one in found}


def helpers(pid: int) -> tuple[int, ...]:
    """Returns the processes below the worker `pid`, by however it started them, less torch.compile's."""
    hidden = strays(parent(pid))
    return (*hidden, *(one for one in below(pid) if not _is_kept(one)))


def companions(mark: str, pid: int) -> tuple[str, ...]:
    """Returns the commands of the live descendants of the worker `pid`, less those that torch.compile keeps."""
    hidden = strays(parent(pid))
    others = [one for one in family(mark, pid) if one != pid and not _is_dead(one)]
    return tuple(command(one) for one in others if one in hidden or not _is_kept(one))


def _is_kept(pid: int) -> bool:
    """Whether a process is one of torch.compile's; what such a one is called any process can call itself."""
    return any(kept in command(pid) for kept in _KEPT)


def command(pid: int) -> str:
    """Returns the words that a process says it was started with."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip() or _NAMELESS
    return _NAMELESS


def parent(pid: int) -> int:
    """Returns the process that started a process; of one that is gone already, this one."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return int(fields[1])
    return os.getpid()
