"""A C++ baseline as a library for this machine: compiled once, kept by a hash of everything that made it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent / "cpp"

#: gnu++17, not c++17: ISO mode forbids GCC to contract a * b + c into one FMA, at half the speed.
FLAGS: Final = ("-std=gnu++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-Wall", "-Wextra")

#: A compile takes some 3 s on one core; twenty times that is a hang.
_TIMEOUT_S: Final = 60


def build(source: str, *flags: str) -> Path:
    """Returns the library compiled from reference/cpp/SOURCE with FLAGS and then `flags`, by $CXX or g++.

    Raises:
        RuntimeError: there is no compiler, or it refused; the message says what to do or what it said.
    """
    compiler = shutil.which(os.environ.get("CXX") or "g++")
    if compiler is None:
        raise RuntimeError("a C++ baseline needs a C++ compiler and found none; on Debian: apt-get install g++")
    command = [compiler, *FLAGS, *flags]
    library = _cache() / f"{Path(source).stem}-{_key(command)}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            fresh = Path(folder) / library.name
            _run([*command, "-o", str(fresh), str(SOURCES / source)])
            fresh.replace(library)  # atomic: another process finds the whole library or none
    return library


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "moe-validation" / "cpp"


def _key(command: list[str]) -> str:
    """Changes with the sources, the compiler, the flags and what -march=native means here."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.glob("*.?pp")):
        digest.update(path.name.encode() + path.read_bytes())
    target = _run([command[0], "-march=native", "-Q", "--help=target"], quiet=True)
    for part in (*command, _run([command[0], "--version"]), target):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


def _run(command: list[str], *, quiet: bool = False) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[0]} did not end within {_TIMEOUT_S} s: {' '.join(command)}") from None
    if done.returncode and not quiet:  # clang knows no --help=target; its version says enough
        raise RuntimeError(f"{command[0]} refused: {' '.join(command)}\n{done.stderr}")
    return done.stdout
