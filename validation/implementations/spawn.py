"""A fresh process for a kernel: what it inherits, how it is started, and how nothing of it is left."""

from __future__ import annotations

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
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Variables that tune a BLAS, an OpenMP runtime or an allocator: dropped, so that every contender runs as installed.
#: OPENBLAS_CORETYPE=Haswell alone halves NumPy on an AVX-512 machine.
DROPPED_PREFIXES: Final = (
    "OPENBLAS_", "GOTO_", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "NVPL_", "VECLIB_", "NUMEXPR_", "ATEN_", "MALLOC_",
    "GLIBC_TUNABLES", "LD_PRELOAD",
)  # fmt: skip

#: Each is set to the number of threads of the run.
THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NVPL_BLAS_NUM_THREADS",
)

#: Idle OpenBLAS threads spin for 2^N clock cycles; the default 28 is 100 ms, which would run into the speed probe
#: after each block. 22 is 2 ms: longer than any gap between two products of one call.
_OPENBLAS_SPIN: Final = ("OPENBLAS_THREAD_TIMEOUT", "22")

#: Every descendant of a worker inherits this variable, so that one which left the process group is found.
_MARK: Final = "MOE_VALIDATION_WORKER"

#: A killed process is gone within microseconds, unless it waits for a disk.
_DYING_S: Final = 2.0

#: Processes that stay after torch.compile has compiled: its pool of compilers, and what minds its shared memory.
_KEPT: Final = ("torch/_inductor/compile_worker", "multiprocessing.resource_tracker")

_MAIN: Final = Path(__file__).parent / "worker" / "main.py"
_REAPER: Final = Path(__file__).parent / "reaper.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What all workers of this process share: the first half of their marks, and the folder of their temporary files.

    A process of its own (`reaper.py`) waits for this one's end, by whatever it comes, to clear both.
    """

    mark: str
    folder: Path
    pipe: int


@cache
def room() -> Room:
    """Returns this process's room, made when it is first asked for."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """A started worker: its process and the parent's ends of its channel, its output and its reports."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    output: int
    reports: int
    mark: str


def dropped_variables(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Returns the variables set here that no worker gets, sorted."""
    return tuple(sorted(name for name in environment if name.startswith(DROPPED_PREFIXES)))


def worker_environment(
    threads: int, extra: Iterable[tuple[str, str]] = (), base: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Returns the environment of a worker: `base` without what tunes, `threads` for every library, then `extra`."""
    dropped = set(dropped_variables(base))
    kept = {name: value for name, value in base.items() if name not in dropped}
    return kept | dict.fromkeys(THREAD_VARIABLES, str(threads)) | dict([_OPENBLAS_SPIN]) | dict(extra)


def spawn(environment: Mapping[str, str]) -> Spawned:
    """Starts a worker in a session of its own, so that an interrupt at the terminal is the parent's to handle."""
    ours, theirs = socket.socketpair()
    output, output_end = os.pipe2(os.O_CLOEXEC)
    reports, reports_end = os.pipe2(os.O_CLOEXEC)
    mark = f"{room().mark}-{secrets.token_hex(8)}"
    command = [sys.executable, "-I", "-S", "-B", str(_MAIN)]
    command += [str(theirs.fileno()), str(reports_end), str(os.getpid())]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output_end,
            stderr=output_end,
            pass_fds=(theirs.fileno(), reports_end),
            env={**environment, _MARK: mark},
            start_new_session=True,
        )
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


def end(spawned: Spawned) -> None:
    """Kills the worker and all its descendants, and closes the parent's ends. Ending twice is harmless."""
    # Those that wiped their environment are found as children of the worker, which adopts what its children leave.
    family = _family(spawned.process.pid) if spawned.process.poll() is None else ()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(spawned.process.pid, signal.SIGKILL)
    _kill(family)
    spawned.process.wait()
    deadline = time.monotonic() + _DYING_S
    while (left := descendants(spawned.mark)) and time.monotonic() < deadline:
        _kill(left)
        time.sleep(0.001)
    if spawned.channel.fileno() >= 0:
        spawned.channel.close()
        os.close(spawned.output)
        os.close(spawned.reports)


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
    needle = f"{_MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            # Gone, another user's, or a kernel thread: none of them is ours.
            with suppress(OSError):
                if needle in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return tuple(found)


def family(mark: str, pid: int) -> tuple[int, ...]:
    """Returns the worker `pid` and its live descendants: those that carry its mark, and those that wiped it off."""
    return tuple({*descendants(mark), *_family(pid)} | {pid})


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


def is_alive(pid: int) -> bool:
    """Returns whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def anonymous_bytes(pid: int) -> int:
    """Returns the resident memory of a process that no file backs: what it allocated and touched."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def importable_paths(*, ours: bool) -> list[str]:
    """Returns the folders a worker may import from: the parent's sys.path, which .pth files have already extended.

    The folder that holds our packages is there only for trusted implementations (`ours`). Where our packages are
    installed beside torch that folder cannot go, and the worker refuses them by name.
    """
    root = Path(__file__).resolve().parents[2]
    folders = [Path(path).resolve() for path in sys.path if path and Path(path).is_dir()]
    installed = root.name in {"site-packages", "dist-packages"}
    libraries = [str(folder) for folder in folders if installed or folder != root]
    return [*libraries, str(root)] if ours and not installed else libraries
