"""`doctor`: what this machine has and lacks, with the exact line that mends it."""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from rich.console import Console

from validation.cpu import Cpu, read_cpu, total_memory
from validation.evidence.fingerprint import read_gpu
from validation.performance.probe import Probe
from validation.usage import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_SETUP: Final = "make setup"
_APT: Final = "sudo apt-get install -y --no-install-recommends"
#: The library WeasyPrint loads, and the Debian package that brings it.
PDF_LIBRARIES: Final = {
    "pango-1.0": "libpango-1.0-0",
    "pangoft2-1.0": "libpangoft2-1.0-0",
    "harfbuzz-subset": "libharfbuzz-subset0",
}
#: What the report's tests read PDFs with.
TEST_TOOLS: Final = {"pdftotext": "poppler-utils", "qpdf": "qpdf"}
PACKAGES: Final = {
    "numpy": "judging",
    "torch": "measuring",
    "mojo": "the Mojo kernel",
    "max": "compiling it for a GPU, and MAX beside it",
    "weasyprint": "the PDF",
}
#: A run's peak (4 GB) and the system beside it.
_MEMORY_BYTES: Final = 6 << 30


class State(StrEnum):
    """`missing` leaves something out or makes it fail; `absent` is hardware: claims about it come out not_tested."""

    OK = "ok"
    ABSENT = "absent"
    MISSING = "missing"


_MARKS: Final = {State.OK: "✓", State.ABSENT: "-", State.MISSING: "✗"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at: what was found, and the line that mends it where something is missing."""

    name: str
    state: State
    found: str
    mend: str = ""


def diagnose() -> tuple[Check, ...]:
    """Returns what this machine has and lacks; takes under two seconds and changes nothing but the probe's build."""
    cpu = read_cpu()
    return (
        check_python(sys.version_info[:3]),
        *(check_package(name, purpose) for name, purpose in PACKAGES.items()),
        *(check_tool(name, package, shutil.which) for name, package in {"gcc": "gcc", "g++": "g++"}.items()),
        *(check_library(name, package, ctypes.util.find_library) for name, package in PDF_LIBRARIES.items()),
        *(check_tool(name, package, shutil.which) for name, package in TEST_TOOLS.items()),
        check_cores(cpu),
        check_vectors(cpu),
        check_memory(total_memory()),
        check_gpu(),
        check_probe(lambda: Probe(cores=cpu.cores)),
    )


def show_diagnosis(*, as_json: bool) -> None:
    """Prints the checks, and after them the lines that mend what is missing."""
    checks = diagnose()
    console = Console()
    if as_json:
        console.print_json(json.dumps([asdict(check) for check in checks]))
        return
    width = max(len(check.name) for check in checks)
    for check in checks:
        line = f"{_MARKS[check.state]} {check.name.ljust(width)}  {check.found}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    mends = dict.fromkeys(check.mend for check in checks if check.state is State.MISSING)
    if mends:
        console.print("\nTo mend it, run:", highlight=False)
        for mend in mends:
            console.print(f"    {mend}", highlight=False, markup=False, soft_wrap=True)


def check_python(found: tuple[int, ...]) -> Check:
    """Python 3.11 or newer."""
    state = State.OK if found >= (3, 11) else State.MISSING
    shown = ".".join(str(part) for part in found)
    return Check(name="Python", state=state, found=shown, mend="make PYTHON=/path/to/python3.11 setup")


def check_package(name: str, purpose: str) -> Check:
    """A Python package that `make setup` brings."""
    try:
        return Check(name=name, state=State.OK, found=version(name))
    except PackageNotFoundError:
        return Check(name=name, state=State.MISSING, found=f"not installed; needed for {purpose}", mend=_SETUP)


def check_tool(name: str, package: str, find: Callable[[str], str | None]) -> Check:
    """A program on the path, and the Debian package that brings it."""
    if find(name):
        return Check(name=name, state=State.OK, found="found")
    return Check(name=name, state=State.MISSING, found="not on the path", mend=f"{_APT} {package}")


def check_library(name: str, package: str, find: Callable[[str], str | None]) -> Check:
    """A shared library of the PDF step, and the Debian package that brings it."""
    if find(name):
        return Check(name=name, state=State.OK, found="found")
    return Check(name=name, state=State.MISSING, found="not found; needed for the PDF", mend=f"{_APT} {package}")


def check_cores(cpu: Cpu) -> Check:
    """All cores the affinity mask allows are used."""
    return Check(name="cores", state=State.OK, found=f"{len(cpu.cores)} of {os.cpu_count()} may be used")


def check_vectors(cpu: Cpu) -> Check:
    """The kernel takes its tile from the vector width; what is absent makes it slower, not wrong."""
    known = ("avx512f", "avx512_bf16", "amx_bf16", "avx2", "asimd", "sve")
    found = [name for name in known if name in cpu.features]
    wide = State.OK if "avx512f" in found else State.ABSENT
    return Check(name="vectors", state=wide, found=", ".join(found) or "none of " + ", ".join(known))


def check_memory(available: int) -> Check:
    """A run takes at most 4 GB; of full's layers each machine measures those that it holds."""
    state = State.OK if available >= _MEMORY_BYTES else State.MISSING
    found = f"{available / (1 << 30):.1f} GiB"
    return Check(name="memory", state=state, found=found, mend="moe-validation run --profile smoke")


def check_gpu() -> Check:
    """An NVIDIA GPU is no must: readings on a GPU come out `not_tested` without one."""
    gpu = read_gpu()
    if gpu is None:
        return Check(name="GPU", state=State.ABSENT, found="none; readings on a GPU come out not_tested")
    return Check(name="GPU", state=State.OK, found=f"{gpu.name}, {gpu.memory_bytes >> 30} GiB, driver {gpu.driver}")


def check_probe(start: Callable[[], Probe]) -> Check:
    """The speed probe builds and runs; without it no sample can be accepted."""
    try:
        with start() as probe:
            speed = max(probe() for _ in range(5))
    except UsageError as error:
        return Check(name="probe", state=State.MISSING, found=str(error), mend=f"{_APT} gcc")
    return Check(name="probe", state=State.OK, found=f"{speed / 1e9:.0f} GFLOP/s float32 from L1 on all cores just now")
