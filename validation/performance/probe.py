"""The speed probe: what all cores do per second right now, and their peaks (probe.c)."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from validation.cpu import available_cores, read_cpu
from validation.usage import UsageError

SOURCE: Final = Path(__file__).with_name("probe.c")
BUILD: Final = Path(__file__).parents[2] / "build" / "probe"
FLAGS: Final = ("-O3", "-march=native", "-shared", "-fPIC", "-pthread")
#: Long against the 50 us it takes to wake the threads, short against the 8 ms and more of a block it stands beside.
PROBE_SECONDS: Final = 0.002
#: What the vector loop reads at a time, and so the smallest working set: two streams of eight 64-byte vectors.
READ_GRAIN: Final = 1024


class Task(IntEnum):
    """What the threads do; the numbers are those of `enum task` in probe.c."""

    FMA_F32 = 0
    DOT_BF16 = 1
    READ = 2
    FMA_L1 = 3


PEAK_TASKS: Final = {"float32": Task.FMA_F32, "bfloat16": Task.DOT_BF16}


class Probe:
    """One sleeping thread pinned to each core; every call wakes them, lets them work and returns their summed speed.

    Calls release the GIL. The threads do not survive a fork: a forked child opens its own probe.
    """

    def __init__(self, *, cores: Sequence[int] | None = None, buffer_bytes: int = 0, folder: Path = BUILD) -> None:
        """Starts a thread on each of `cores` (by default all of the affinity mask).

        `buffer_bytes` of memory are taken for `read`; each thread writes its share first.

        Raises:
            UsageError: there is no C compiler, it failed, or the threads or the memory cannot be had.
        """
        self.cores = tuple(cores) if cores is not None else available_cores()
        self.buffer_bytes = buffer_bytes
        self._library = _load(build_probe(folder))
        self._pid = os.getpid()
        array = (ctypes.c_int * len(self.cores))(*self.cores)
        self._pool: int | None = self._library.probe_open(array, len(self.cores), buffer_bytes)
        if not self._pool:
            reason = os.strerror(ctypes.get_errno())
            raise UsageError(
                f"the speed probe needs {len(self.cores)} threads and {buffer_bytes >> 20} MiB; got: {reason}. "
                f"Raise the limits (`ulimit -u`, `ulimit -v`) or run on fewer cores (`taskset -c 0 ...`)."
            )

    def __call__(self) -> float:
        """Returns the FLOP/s of float32 multiply-adds of operands in L1 over all cores, measured for 2 ms."""
        return self._run(Task.FMA_L1, len(self.cores), PROBE_SECONDS, 0)

    def supports(self, dtype: str) -> bool:
        """Whether this processor has instructions for `dtype` that the probe knows."""
        return dtype in PEAK_TASKS and bool(self._library.probe_supports(PEAK_TASKS[dtype]))

    def peak(self, dtype: str, threads: int, seconds: float) -> float:
        """Returns the FLOP/s of `threads` threads multiplying and adding `dtype` for `seconds`.

        Raises:
            ValueError: the processor has no such instruction (see `supports`), or has not that many cores.
        """
        if not self.supports(dtype):
            raise ValueError(f"the probe has a loop for one of {', '.join(PEAK_TASKS)} on this processor; got {dtype}")
        return self._run(PEAK_TASKS[dtype], threads, seconds, 0)

    def read(self, threads: int, seconds: float, bytes_per_thread: int) -> float:
        """Returns the byte/s that `threads` threads read, each again and again over its own `bytes_per_thread`.

        Raises:
            ValueError: the working set is no multiple of 1024 bytes, or does not fit the buffer.
        """
        if bytes_per_thread <= 0 or bytes_per_thread % READ_GRAIN or bytes_per_thread > self.buffer_bytes:
            raise ValueError(
                f"bytes_per_thread must be a positive multiple of {READ_GRAIN} and at most the buffer's "
                f"{self.buffer_bytes}; got {bytes_per_thread}"
            )
        return self._run(Task.READ, threads, seconds, bytes_per_thread)

    def method(self, dtype: str | None) -> str:
        """How `peak(dtype)`, or `read` for None, is measured, in words.

        Raises:
            ValueError: the probe is closed, or another process's.
        """
        self._require_open()
        task = Task.READ if dtype is None else PEAK_TASKS[dtype]
        words: bytes = self._library.probe_method(self._pool, task)
        return f"{words.decode()}, {8 * self._library.probe_vector_bytes()}-bit vectors, one pinned thread per core"

    def close(self) -> None:
        """Ends the threads; a second call does nothing."""
        if self._pool and self._pid == os.getpid():
            self._library.probe_close(self._pool)
        self._pool = None

    def __enter__(self) -> Self:
        """Returns the probe itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends the threads."""
        self.close()

    def _require_open(self) -> None:
        if not self._pool or self._pid != os.getpid():
            raise ValueError("the probe is closed, or belongs to the process this one was forked from")

    def _run(self, task: Task, threads: int, seconds: float, size: int) -> float:
        self._require_open()
        if not 1 <= threads <= len(self.cores):
            raise ValueError(f"threads must be in 1 .. {len(self.cores)}, one per core; got {threads}")
        speed: float = self._library.probe_run(self._pool, task, threads, seconds, size)
        return speed


def build_probe(folder: Path = BUILD, *, source: Path = SOURCE, flags: Sequence[str] = FLAGS) -> Path:
    """Returns the shared library built from `source` for this processor, compiled once and found again by hash.

    Raises:
        UsageError: there is no C compiler, or it failed.
    """
    compiler = compiler_path()
    library = folder / f"probe-{_key(compiler, source, flags)}.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, suffix=".so")
    os.close(descriptor)
    built = Path(name)
    try:
        command = [compiler, *flags, "-o", str(built), str(source)]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            raise UsageError(f"the C compiler must build {source.name}; `{' '.join(command)}` said:\n{outcome.stderr}")
        built.chmod(0o755)
        built.replace(library)
    finally:
        built.unlink(missing_ok=True)
    return library


def compiler_path() -> str:
    """Returns the C compiler: gcc, else cc.

    Raises:
        UsageError: there is neither.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise UsageError("a C compiler is needed for the speed probe; none was found. Run: sudo apt-get install -y gcc")
    return compiler


def _key(compiler: str, source: Path, flags: Sequence[str]) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout.partition("\n")
    cpu = read_cpu()
    parts = (source.read_text(), version[0], *flags, platform.machine(), cpu.model, cpu.family, *cpu.features)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path), use_errno=True)
    size, real, whole, pool = ctypes.c_size_t, ctypes.c_double, ctypes.c_int, ctypes.c_void_p
    library.probe_open.restype, library.probe_open.argtypes = pool, (ctypes.POINTER(whole), whole, size)
    library.probe_run.restype, library.probe_run.argtypes = real, (pool, whole, whole, real, size)
    library.probe_method.restype, library.probe_method.argtypes = ctypes.c_char_p, (pool, whole)
    library.probe_supports.restype, library.probe_supports.argtypes = whole, (whole,)
    library.probe_vector_bytes.restype, library.probe_vector_bytes.argtypes = whole, ()
    library.probe_close.restype, library.probe_close.argtypes = None, (pool,)
    return library
