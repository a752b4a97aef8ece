"""What the user asked for, found or refused before any work begins."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from validation.claims.load import OWN_CLAIMS, SEED_CLAIMS, check_distinct, check_names, load_claims
from validation.evidence.fingerprint import read_gpu
from validation.implementations.gpu_bundle import VARIABLE, BuiltBundle, usable_bundle
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.menu import KNOWN, MOJO
from validation.implementations.menu_cuda import GPU_FORMS, MOJO_CUDA
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
    known = (*KNOWN, *GPU_FORMS.values())
    check_names(
        files,
        find_workload=find_workload,
        implementations=(CANDIDATE, *(one.name for one in known)),
        families={one.family for one in known},
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


def bundled_mojo(bundle: Path | None) -> tuple[Implementation, BuiltBundle]:
    """Returns the Mojo kernel for this machine's GPU as a candidate, from the bundle named.

    Raises:
        UsageError: none is named, or it is not whole, or not for this GPU.
    """
    gpu = read_gpu()
    assert gpu is not None
    folder, manifest = usable_bundle(bundle, capability=gpu.compute_capability, driver=gpu.driver)
    return replace(MOJO_CUDA, environment=((VARIABLE, str(folder)),)), BuiltBundle(folder=folder, manifest=manifest)


def chosen_candidate(
    spec: str | None, device: str = "cpu", *, bundle: Path | None = None, graph: bool = False
) -> tuple[Implementation, BuiltKernel | BuiltBundle | None]:
    """Returns the kernel that `--kernel` names, or the Mojo kernel built for this machine or bundled for its GPU.

    Raises:
        UsageError: no such file, or the Mojo kernel cannot be built, or no bundle fits.
    """
    if graph and (spec is None or device == "cpu"):
        raise UsageError(
            "--graph is for a kernel of yours on a GPU: pass --kernel FILE.py --device cuda with it. "
            "The Mojo kernel is timed in CUDA graphs anyway, and called eagerly beside it."
        )
    if spec is not None:
        return parse_kernel(spec, device=device, graph=graph), None
    return built_mojo() if device == "cpu" else bundled_mojo(bundle)


def chosen_device(wanted: str, bundle: Path | None = None) -> Literal["cpu", "cuda"]:
    """Returns the device to run on: `auto` is the GPU where one is there and a bundle is named, else the CPU.

    Raises:
        UsageError: `cuda` was asked for and there is no NVIDIA GPU, or a bundle is named for a CPU.
    """
    if wanted == "cpu" and bundle is not None:
        raise UsageError("--bundle is for a GPU; got --device cpu beside it. Leave one of them out.")
    if wanted == "cpu" or (wanted == "auto" and bundle is None and not os.environ.get(VARIABLE)):
        return "cpu"
    if read_gpu() is not None:
        return "cuda"
    if wanted == "auto" and bundle is None:
        return "cpu"
    raise UsageError(
        "--device cuda needs an NVIDIA GPU and its driver; nvidia-smi shows none. Run on the CPU with --device cpu. "
        "Readings about a GPU are judged from evidence recorded on one (`judge`, `report`), and are not_tested "
        "without it."
    )


def thread_count() -> int:
    """Returns how many CPUs this process may run on: what every contender gets."""
    return len(os.sched_getaffinity(0))
