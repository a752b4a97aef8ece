"""What the user asked for, found or refused before any work begins."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from validation.claims.load import OWN_CLAIMS, SEED_CLAIMS, check_distinct, check_names, load_claims
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.menu import KNOWN, MOJO
from validation.implementations.mojo_build import BuildFailure, BuiltKernel, build_kernel
from validation.report.material import ClaimsSource
from validation.usage import UsageError
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from pathlib import Path

    from validation.implementations.implementation import Implementation

#: Readings name the kernel under validation so, whoever wrote it.
CANDIDATE: Final = "candidate"


def load_claims_files(paths: tuple[Path, ...], *, own: bool = True) -> tuple[ClaimsSource, ...]:
    """Returns the claims files named, without any the published one; with `own`, this project's promises too.

    Raises:
        UsageError: a file cannot be read or breaks a rule, or names what this suite does not know.
    """
    chosen = list(paths) or [SEED_CLAIMS]
    if own and OWN_CLAIMS.resolve() not in {path.resolve() for path in chosen}:
        chosen.append(OWN_CLAIMS)
    sources = tuple(ClaimsSource(data=_read(path), file=load_claims(path)) for path in chosen)
    files = [source.file for source in sources]
    check_distinct(files)
    check_names(
        files,
        find_workload=find_workload,
        implementations=(CANDIDATE, *(one.name for one in KNOWN)),
        families={one.family for one in KNOWN},
    )
    return sources


def _read(path: Path) -> bytes:
    """The bytes that will be attached; what is wrong with the file is for `load_claims` to say."""
    return path.read_bytes() if path.is_file() else b""


def built_mojo() -> tuple[Implementation, BuiltKernel]:
    """Returns the Mojo kernel as a candidate, compiled for this machine.

    Raises:
        UsageError: there is no compiler, or it refused; the message holds its words.
    """
    built = build_kernel()
    if isinstance(built, BuildFailure):
        raise UsageError(str(built))
    environment = (*MOJO.environment, ("MOE_KERNEL_LIBRARY", str(built.library)))
    return replace(MOJO, environment=environment), built


def chosen_candidate(spec: str | None) -> tuple[Implementation, BuiltKernel | None]:
    """Returns the kernel that `--kernel` names, or the Mojo kernel built for this machine.

    Raises:
        UsageError: no such file, or the Mojo kernel cannot be built.
    """
    return built_mojo() if spec is None else (parse_kernel(spec), None)


def chosen_device(wanted: str) -> Literal["cpu", "cuda"]:
    """Returns the device to run on: `auto` is the CPU, the one device whose workers this suite can isolate.

    Raises:
        UsageError: `cuda` was asked for.
    """
    if wanted == "cuda":
        raise UsageError(
            "--device must be cpu or auto; got cuda: this suite runs and measures kernels on the CPU. Readings about a "
            "GPU are judged from evidence recorded on one (`judge`, `report`), and are not_tested without it."
        )
    return "cpu"


def thread_count() -> int:
    """Returns how many CPUs this process may run on: what every contender gets."""
    return len(os.sched_getaffinity(0))
