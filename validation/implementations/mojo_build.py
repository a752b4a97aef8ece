"""The Mojo kernel as a library for this machine: compiled once, kept by what it was made from.

A build is found again under `build/kernels/<key>/`, the key being a hash of the sources, the compiler's version, the
effective target and the flags: whatever would change the machine code changes the key.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ROOT / "kernels"
CACHE: Final = ROOT / "build" / "kernels"
LIBRARY: Final = "moe_kernel.so"
#: A program of kernels/bindings: the kernel under Mojo's own benchmark module.
BENCHMARK: Final = "official_benchmark"
MANIFEST: Final = "manifest.json"

#: A cold compile takes about 10 s on one core, and over 200 s were seen beside nine other processes on two.
_TIMEOUT_S: Final = 900
_KEY_DIGITS: Final = 16
#: The CPU kernel; kernels/gpu is built by its own file.
_FOLDERS: Final = ("moe", "bindings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a library was made from; it stands beside the library as `manifest.json`.

    `features` are the target's, as LLVM names them: a machine without one of them must not load the library.
    """

    sources_sha256: str
    compiler: str
    target_cpu: str
    features: tuple[str, ...]
    flags: tuple[str, ...]
    library_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltKernel:
    """A library (or program) that is there, and what it was made from. `fresh` is False when it was found built."""

    library: Path
    manifest: Manifest
    fresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFailure:
    """Why there is no library: one line, what to do, and the compiler's own words where it spoke."""

    reason: str
    remedy: str
    output: str = ""

    def __str__(self) -> str:
        """The whole message, the compiler's words last."""
        return "\n".join(part for part in (f"{self.reason} {self.remedy}", self.output) if part)


def build_kernel(  # noqa: PLR0913 -- all that a build depends on
    *,
    target_cpu: str | None = None,
    defines: tuple[str, ...] = (),
    program: str = "",
    sources: Path = SOURCES,
    cache: Path = CACHE,
    compiler: Path | None = None,
) -> BuiltKernel | BuildFailure:
    """Returns the library for `target_cpu`, the CPU of this machine unless named, compiled if it is not there yet.

    Safe beside other processes that build the same: one compiles, the others wait and find it. `defines` are
    compile-time switches of the kernel, `NAME=VALUE` each. With `program` it is that program of kernels/bindings.
    """
    compiler = compiler or find_compiler()
    if compiler is None:
        return BuildFailure(
            reason="The kernel needs the Mojo compiler, and there is no `mojo` beside this Python or on the PATH.",
            remedy="Run: make setup (or: pip install mojo).",
        )
    files = sorted(file for folder in _FOLDERS for file in (sources / folder).rglob("*.mojo"))
    if not files:
        return BuildFailure(
            reason=f"The kernel's sources must be in {sources}, in {' and '.join(_FOLDERS)}; no .mojo file is.",
            remedy="Run from a checkout of the repository: an installed package holds no Mojo sources.",
        )
    flags = tuple(part for define in defines for part in ("-D", define))
    if target_cpu is not None:
        flags += ("--target-cpu", target_cpu)
    version = _run(compiler, "--version")
    target = _run(compiler, "build", *flags, "--print-effective-target")
    for told in (version, target):
        if told.returncode != 0:
            return _refusal(compiler, told)
    sources_sha256 = _hash_sources(sources, files)
    key = _sha256("\0".join((sources_sha256, version.stdout, target.stdout, program, *flags)))[:_KEY_DIGITS]
    name = program or LIBRARY
    folder = cache / key
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{key}.lock"):
        if (folder / MANIFEST).is_file():
            return BuiltKernel(library=folder / name, manifest=_read_manifest(folder), fresh=False)
        with tempfile.TemporaryDirectory(dir=cache, prefix=f"{key}-") as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            compiled = _compile(compiler, sources, made / name, flags)
            if compiled.returncode != 0:
                return _refusal(compiler, compiled)
            manifest = Manifest(
                sources_sha256=sources_sha256,
                compiler=version.stdout.strip(),
                target_cpu=_target_cpu(target.stdout),
                features=_features(target.stdout),
                flags=flags,
                library_sha256=_sha256((made / name).read_bytes()),
            )
            (made / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
            # The folder appears whole or not at all: a killed build leaves only a scratch folder.
            made.rename(folder)
        return BuiltKernel(library=folder / name, manifest=manifest, fresh=True)


def build_all(
    wanted: Sequence[tuple[str, ...]], build: Callable[..., BuiltKernel | BuildFailure] = build_kernel
) -> tuple[BuiltKernel | BuildFailure, ...]:
    """Returns a library for each set of switches, compiled side by side.

    One takes 9 s of a core; one that is found, 0.3 s.
    """
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        return tuple(pool.map(lambda defines: build(defines=defines), wanted))


def find_compiler() -> Path | None:
    """Returns the `mojo` of this Python's environment, else the one on the PATH."""
    beside = Path(sys.executable).parent / "mojo"
    if beside.is_file():
        return beside
    found = shutil.which("mojo")
    return Path(found) if found else None


def _compile(compiler: Path, sources: Path, made: Path, flags: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    main = sources / "bindings" / f"{made.stem}.mojo"
    emit = ("--emit", "shared-lib") if made.suffix else ()
    return _run(compiler, "build", *emit, "-I", str(sources), *flags, str(main), "-o", str(made))


def _run(compiler: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(compiler), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=f"no answer within {_TIMEOUT_S} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=str(error))


def _refusal(compiler: Path, told: subprocess.CompletedProcess[str]) -> BuildFailure:
    command = " ".join(str(part) for part in told.args)
    return BuildFailure(
        reason=f"The Mojo compiler {compiler} ended with code {told.returncode}.",
        remedy=f"To see it again, run: {command}",
        output=told.stderr.strip(),
    )


def _hash_sources(sources: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(sources)}\0{_sha256(file.read_bytes())}\0".encode())
    return digest.hexdigest()


def _sha256(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _target_cpu(target: str) -> str:
    return _field(target, "--target-cpu")


def _features(target: str) -> tuple[str, ...]:
    """The features that are on, of `+avx2,...,-pku`."""
    listed = _field(target, "--target-features").split(",")
    return tuple(sorted(feature[1:] for feature in listed if feature.startswith("+")))


def _field(target: str, flag: str) -> str:
    for line in target.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == flag:
            return words[1]
    return ""


def _read_manifest(folder: Path) -> Manifest:
    fields = json.loads((folder / MANIFEST).read_text())
    return Manifest(**{**fields, "features": tuple(fields["features"]), "flags": tuple(fields["flags"])})


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file; the system drops it when the process dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
