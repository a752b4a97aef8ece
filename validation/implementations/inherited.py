"""What a worker inherits from this process: environment variables, and folders to import from."""

from __future__ import annotations

import getpass
import os
import site
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

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

#: Where systems keep the C library and what starts programs: every process loads from there. And the system's controls,
#: of frequencies, huge pages, caches, and other processes. (What is spared of both: `worker/fence.py`.)
_SYSTEM: Final = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/sys", "/proc")

#: Idle threads spin for 2 ms, longer than any gap between two products of one call. OpenBLAS counts 2^N clock cycles:
#: its default 28 is 100 ms, which would run into the speed probe after each block. OpenMP of Intel and LLVM counts
#: milliseconds: its default 200 would be work after the return.
_SPIN: Final = {"OPENBLAS_THREAD_TIMEOUT": "22", "KMP_BLOCKTIME": "2"}


def dropped_variables(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Returns the variables set here that no worker gets, sorted."""
    return tuple(sorted(name for name in environment if name.startswith(DROPPED_PREFIXES)))


def worker_environment(threads: int, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the environment of a worker: `base` without what tunes, and `threads` for every library."""
    dropped = set(dropped_variables(base))
    kept = {name: value for name, value in base.items() if name not in dropped}
    return kept | dict.fromkeys(THREAD_VARIABLES, str(threads)) | _SPIN


def loaded_from() -> list[str]:
    """Returns the folders of what every process is loaded from or ruled by: Python's, its packages', the system's."""
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return sorted({*folders, *site.getsitepackages(), site.getusersitepackages(), *_SYSTEM})


def compiled_into() -> list[str]:
    """Returns the folders in which baselines keep what they compile; a candidate's TMPDIR is another."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):
        # As torch calls one without a name.
        user = f"uid_{os.getuid()}"
    return [str(Path(home) / "moe-validation"), str(Path(tempfile.gettempdir()) / f"torchinductor_{user}")]


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
