"""A process for a kernel: how it is started, and how nothing of it is left."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import RLock, get_native_id
from typing import TYPE_CHECKING, Final, Protocol

from validation.cpu import available_cores
from validation.implementations.fork_server import MAIN, Child, fork_server
from validation.implementations.inherited import worker_environment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

#: Every descendant of a worker inherits this variable, so that one which left the process group is found.
_MARK: Final = "MOE_VALIDATION_WORKER"

#: A killed process is gone within microseconds, unless it waits for a disk.
_DYING_S: Final = 2.0

#: Processes that stay after torch.compile has compiled: its pool of compilers, and what minds its shared memory.
_KEPT: Final = ("torch/_inductor/compile_worker", "multiprocessing.resource_tracker")

_PR_SET_DUMPABLE: Final = 4

_REAPER: Final = Path(__file__).parent / "reaper.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What all workers of this process share: the first half of their marks, and the folder of their temporary files.

    A process of its own (`reaper.py`) waits for this one's end, by whatever it comes, to clear both.
    """

    mark: str
    folder: Path
    pipe: int


#: Workers are started one after the other: of two threads each made a room of its own, with a fork server to it, and a
#: third start ended the one that seemed to have no worker, while its first was being forked.
_STARTING: Final = RLock()


def room() -> Room:
    """Returns this process's room, made when it is first asked for.

    From then on no other process of the same user may look into this one's memory, which holds the answers.
    """
    with _STARTING:
        return _furnished()


@cache
def _furnished() -> Room:
    """Makes the room, and the process that will clear it."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    mark, folder = secrets.token_hex(8), Path(tempfile.mkdtemp(prefix="moe-validation-"))
    waited, pipe = os.pipe2(os.O_CLOEXEC)
    command = [sys.executable, "-I", "-S", str(_REAPER), str(folder), f"{_MARK}={mark}"]
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    # Its own session: an interrupt at the terminal is not for it.
    os.posix_spawn(
        command[0],
        command,
        {},
        file_actions=[(os.POSIX_SPAWN_DUP2, waited, 0), *silent],
        setsid=True,
    )
    os.close(waited)
    return Room(mark=mark, folder=folder, pipe=pipe)


class Process(Protocol):
    """A process that was started, or forked for us by another."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """Returns its exit code, minus a signal's number if that killed it; None while it lives."""

    def wait(self) -> int:
        """Returns its exit code once it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """A started worker: its process and the parent's ends of its channel, its output and its reports."""

    process: Process
    channel: socket.socket
    output: int
    reports: int
    mark: str


def spawn(threads: int, variables: Iterable[tuple[str, str]] = (), *, fresh: bool = False) -> Spawned:
    """Starts a worker in a session of its own, so that an interrupt at the terminal is the parent's to handle.

    It is forked from a process that has imported torch, or, `fresh`, imports it itself. `variables` are set in its
    environment beside those of every worker. Its cores are those that this process had before the first of them.

    Raises:
        OSError: the system starts no more processes.
    """
    put_cores_back()
    ours, theirs = socket.socketpair()
    output, output_end = os.pipe2(os.O_CLOEXEC)
    reports, reports_end = os.pipe2(os.O_CLOEXEC)
    mark = f"{room().mark}-{secrets.token_hex(8)}"
    ends = (theirs.fileno(), reports_end, output_end)
    try:
        process = (_started if fresh else _forked)(threads, dict(variables), mark, ends)
    except BaseException:
        ours.close()
        os.close(output)
        os.close(reports)
        raise
    finally:
        theirs.close()
        os.close(output_end)
        os.close(reports_end)
    os.set_blocking(output, False)
    os.set_blocking(reports, False)
    return Spawned(process=process, channel=ours, output=output, reports=reports, mark=mark)


def put_cores_back() -> None:
    """Gives this process and this thread the cores that it had before the first worker was started.

    A kernel narrowed this process to one core from its own: whatever was started from then on had one.
    """
    cores = available_cores()
    for one in {os.getpid(), get_native_id()}:
        if os.sched_getaffinity(one) != set(cores):
            # Cores that the system has taken away meanwhile cannot be had back.
            with suppress(OSError):
                os.sched_setaffinity(one, cores)


def _started(threads: int, variables: dict[str, str], mark: str, ends: tuple[int, int, int]) -> Process:
    channel, reports, output = ends
    command = [sys.executable, "-I", "-S", "-B", str(MAIN), "worker", str(channel), str(reports), str(os.getpid())]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(channel, reports),
        env={**worker_environment(threads), **variables, _MARK: mark},
        start_new_session=True,
    )


def _forked(threads: int, variables: dict[str, str], mark: str, ends: tuple[int, int, int]) -> Process:
    # As long as a worker's mark, which is written over it.
    environment = {**worker_environment(threads), _MARK: f"{room().mark}-{'0' * 16}"}
    with _STARTING:
        try:
            return fork_server(environment).fork((_MARK, mark), variables, ends)
        except ConnectionError:
            # Killed from outside; it takes its workers along, and this one is not forked yet.
            return fork_server(environment).fork((_MARK, mark), variables, ends)


def end(spawned: Spawned) -> tuple[str, ...]:
    """Kills the worker and all its descendants, and closes the parent's ends. Ending twice is harmless.

    Returns the commands of those that a worker which had ended by itself left behind without its mark.
    """
    # Those that wiped their environment are found as children of the worker, which adopts what its children leave.
    family = _family(spawned.process.pid) if spawned.process.poll() is None else ()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(spawned.process.pid, signal.SIGKILL)
    # One that was forked a moment ago may have no group of its own yet.
    _kill((spawned.process.pid, *family))
    spawned.process.wait()
    deadline = time.monotonic() + _DYING_S
    while (left := descendants(spawned.mark)) and time.monotonic() < deadline:
        _kill(left)
        time.sleep(0.001)
    orphans = _orphans(spawned.process)
    commands = tuple(_command(one) for one in orphans)
    _kill(orphans)
    if spawned.channel.fileno() >= 0:
        spawned.channel.close()
        os.close(spawned.output)
        os.close(spawned.reports)
    return commands


def _orphans(process: Process) -> tuple[int, ...]:
    """What workers left behind without a mark, when they ended by themselves: children of who forked them.

    Six such helpers burnt both cores while their kernel was looked at, so that no clock could convict it.
    """
    if not isinstance(process, Child):
        return ()
    ours = f"{_MARK}={room().mark}-".encode()
    children = [(one, Path(f"/proc/{one}/environ")) for one in _family(process.forker)]
    return tuple(one for one, environment in children if not _begins(ours, environment))


def _begins(variable: bytes, environment: Path) -> bool:
    # One that is gone needs no killing.
    with suppress(OSError):
        return any(one.startswith(variable) for one in environment.read_bytes().split(b"\0"))
    return True


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _family(pid: int) -> tuple[int, ...]:
    """The children of a process, their children, and so on."""
    children: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            children += [int(word) for word in thread.read_text(encoding="ascii").split()]
    return tuple(one for child in children for one in (child, *_family(child)))


def descendants(mark: str) -> tuple[int, ...]:
    """Returns the live processes that carry a worker's mark in their environment."""
    folders = (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())
    return tuple(int(one.name) for one in folders if int(one.name) != os.getpid() and _carries(mark, one))


def _carries(mark: str, folder: Path) -> bool:
    """Whether the process of this folder carries a worker's mark."""
    # Gone, another user's, or a kernel thread: none of them is ours.
    with suppress(OSError):
        return f"{_MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
    return False


def family(mark: str, pid: int) -> tuple[int, ...]:
    """Returns the worker `pid` and its live descendants: those that carry its mark, and those that wiped it off."""
    return tuple({*descendants(mark), *_family(pid)} | {pid})


def kin(mark: str, pid: int, among: Collection[int]) -> dict[int, bool]:
    """Returns those of the processes `among` that descend from the worker `pid`, or carry its mark.

    Whether their time is the kernel's own comes with each: of torch.compile's compilers, which warm up beside the first
    calls, it is not.
    """
    below = _family(pid) if among else ()
    found = [one for one in among if one in below or _carries(mark, Path(f"/proc/{one}"))]
    return {one: not any(kept in _command(one) for kept in _KEPT) for one in found}


def companions(mark: str, pid: int) -> tuple[str, ...]:
    """Returns the commands of the live descendants of the worker `pid`, less those that torch.compile keeps."""
    commands = (_command(one) for one in family(mark, pid) if one != pid)
    return tuple(command for command in commands if command and not any(kept in command for kept in _KEPT))


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    return ""


def cpu_ns(pid: int) -> int:
    """Returns the CPU time a process has used, all its threads together.

    The clock id of another process is what clock_getcpuclockid(3) computes.
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def reaped_cpu_ns(pid: int) -> int:
    """Returns the CPU time of the children that a process has waited for, in steps of a tick (10 ms)."""
    # The name, in parentheses, may hold blanks; cutime and cstime are fields 16 and 17 of proc(5), from 1.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def parent(pid: int) -> int:
    """Returns the process that started a process; of one that is gone already, this one."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return int(fields[1])
    return os.getpid()


def is_alive(pid: int) -> bool:
    """Returns whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def anonymous_bytes(pid: int) -> int:
    """Returns the resident memory of a process that no file backs: what it allocated and touched."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0
