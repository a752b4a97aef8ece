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
from validation.implementations.kinship import MARK, below, command, descendants, strays

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A killed process is gone within microseconds, unless it waits for a disk.
_DYING_S: Final = 2.0
_GONE_S: Final = 0.05

_PR_SET_DUMPABLE: Final = 4

#: A worker for a CPU is shown no GPU; one that is used all the same is seen by its device file (`vitals.open_gpus`).
_NO_GPU: Final = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}

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
    command = [sys.executable, "-I", "-S", str(_REAPER), str(folder), f"{MARK}={mark}"]
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
        env={**worker_environment(threads), **variables, MARK: mark},
        start_new_session=True,
    )


def _forked(threads: int, variables: dict[str, str], mark: str, ends: tuple[int, int, int]) -> Process:
    # As long as a worker's mark, which is written over it.
    environment = {**worker_environment(threads), **_NO_GPU, MARK: f"{room().mark}-{'0' * 16}"}
    with _STARTING:
        try:
            return fork_server(environment).fork((MARK, mark), variables, ends)
        except ConnectionError:
            # Killed from outside; it takes its workers along, and this one is not forked yet.
            return fork_server(environment).fork((MARK, mark), variables, ends)


def end(spawned: Spawned) -> tuple[str, ...]:
    """Kills the worker and all its descendants, and closes the parent's ends. Ending twice is harmless.

    Returns the commands of those that it had hidden: children of who forked it, which are no workers, whatever mark
    they bear. One that ends by itself leaves such behind.
    """
    # Those that wiped their environment are found as children of the worker, which adopts what its children leave.
    hidden = _hidden(spawned.process)
    family = below(spawned.process.pid) if spawned.process.poll() is None else ()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(spawned.process.pid, signal.SIGKILL)
    # One that was forked a moment ago may have no group of its own yet.
    _kill((spawned.process.pid, *family, *hidden))
    spawned.process.wait()
    deadline = time.monotonic() + _DYING_S
    while (left := descendants(spawned.mark)) and time.monotonic() < deadline:
        _kill(left)
        time.sleep(0.001)
    if spawned.channel.fileno() >= 0:
        spawned.channel.close()
        os.close(spawned.output)
        os.close(spawned.reports)
    return tuple(hidden.values())


def _hidden(process: Process) -> dict[int, str]:
    """Children of the fork server that are no workers, and what each says that it was started with.

    Six such helpers burnt both cores while their kernel was looked at, so that no clock could convict it.
    """
    if not isinstance(process, Child):
        return {}
    # While nobody is being forked: who is not told of yet would be taken for one.
    with _STARTING:
        found = set(strays(process.forker))
        if found:
            # Another worker's, whom another thread has just ended, are dying.
            time.sleep(_GONE_S)
        return {one: command(one) for one in sorted(found & set(strays(process.forker)))}


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


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


def is_alive(pid: int) -> bool:
    """Returns whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def anonymous_bytes(pid: int) -> int:
    """Returns the resident memory of a process that no file backs: what it allocated and touched."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0
