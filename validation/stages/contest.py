"""Which workloads a run measures, which baselines meet the candidate on each, and why others do not."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from validation.cpu import total_memory
from validation.implementations.menu_cuda import MOJO_EAGER, baselines_on
from validation.stages.selection import thread_count
from validation.usage import UsageError
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from validation.implementations.implementation import Implementation
    from validation.report.material import ClaimsSource
    from validation.workloads.layer import Layer
    from validation.workloads.workload import Workload

#: What each profile measures of the workloads and dtypes that the claims name. One workload with every baseline takes
#: about 10 s a round on 2 cores, so smoke (6 rounds) and standard (13) hold the headline's; full holds all that fit.
_MEASURED: Final = {
    "smoke": frozenset({("seed-claim", "float32")}),
    "standard": frozenset({("seed-claim", "float32")}),
    "full": None,
}

#: On a GPU the tensor cores' dtype is the headline's; standard holds what the claims name, but for serving.
_MEASURED_ON_GPU: Final = {
    "smoke": frozenset({("seed-claim", "bfloat16")}),
    "standard": frozenset({("seed-claim", "bfloat16"), ("seed-claim", "float32"), ("seed-small", "bfloat16")}),
    "full": None,
}

#: A call of more work than this for each thread is not measured on a CPU: 50 GFLOP take a core some 0.3 s, and 20 pairs
#: of 12 contenders call it 3,000 times.
_MOST_THREAD_FLOPS: Final = 5e10

#: Copies of a layer's weights in the host's memory beside the oracle's in float64: drawn, shared, and what kernels on
#: the CPU make of them. cpu-serving was seen to take 10.0 GB in all: the oracle's 2.1, and 7.3 times 1.07. What kernels
#: on a GPU make of them lies there.
_COPIES: Final = {"cpu": 7, "cuda": 2}

#: What it may take of the machine's memory: Qwen3's layer in full was seen to take 11.8 GB for the 13.3 so estimated,
#: and the system and other programs need theirs.
_MEMORY_SHARE: Final = 0.75

#: On a GPU the bound is the oracle's, which answers in float64 on the host: 3 TFLOP take a 16-core one 10 s.
_MOST_GPU_FLOPS: Final = 3e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One workload and the baselines the candidate meets on it; `layer` is a trained one, else one is drawn.

    `host` is what readings across devices compare a GPU with: the same shape on the host's CPU, and its baselines.
    """

    workload: Workload
    layer: Layer | None = None
    baselines: tuple[Implementation, ...]
    host: Contest | None = None

    @property
    def all_baselines(self) -> tuple[Implementation, ...]:
        """The baselines on both devices."""
        return (*self.baselines, *(self.host.baselines if self.host else ()))


def named_workloads(claims: Iterable[ClaimsSource], device: str) -> tuple[Workload, ...]:
    """Returns the workloads of readings that a run on `device` could decide, in the dtype the reading asks for."""
    found: dict[tuple[str, str], Workload] = {}
    for source in claims:
        for claim in source.file.claims:
            for reading in claim.readings:
                if reading.untestable is None and reading.device == device:
                    workload = find_workload(reading.workload)
                    layer = replace(workload.layer, dtype=reading.dtype, device=device)
                    found[reading.workload, reading.dtype] = replace(workload, layer=layer)
    return tuple(found.values())


def measured_workloads(
    profile: str, named: tuple[Workload, ...], asked: tuple[Workload, ...], device: Literal["cpu", "cuda"]
) -> tuple[tuple[Workload, ...], tuple[str, ...]]:
    """Returns what is measured, and a line for each named workload that is not.

    Raises:
        UsageError: a workload that was `asked` for is too large to be measured.
    """
    if asked:
        names = {one.name for one in asked}
        wanted = [one for one in named if one.name in names]
        wanted += [_on_device(one, device) for one in asked if one.name not in {w.name for w in wanted}]
        for one in wanted:
            if large := _too_large(one, device):
                raise UsageError(f"workload {one.name}: {large}. Take a smaller one (see `moe-validation workloads`).")
        return tuple(wanted), tuple(f"workload {one.name}: not asked for" for one in named if one.name not in names)
    most = (_MEASURED if device == "cpu" else _MEASURED_ON_GPU)[profile]
    wanted, left_out = [], []
    for one in named:
        title = f"workload {one.name} in {one.layer.dtype}"
        if large := _too_large(one, device):
            left_out.append(f"{title}: {large}")
        elif most is not None and (one.name, one.layer.dtype) not in most:
            left_out.append(f"{title}: only profile full measures it")
        else:
            wanted.append(one)
    return tuple(wanted), tuple(left_out)


def _too_large(one: Workload, device: Literal["cpu", "cuda"]) -> str:
    """Why the machine cannot measure a workload, what it allows and what is needed; empty where it can."""
    most_flops, kind = _MOST_GPU_FLOPS, "GPU"
    if device == "cpu":
        threads = thread_count()
        most_flops, kind = _MOST_THREAD_FLOPS * threads, f"CPU with {threads} threads"
    if one.flops > most_flops:
        return f"at most {most_flops / 1e9:,.0f} GFLOP a call are measured on a {kind}; it has {one.flops / 1e9:,.0f}"
    needs = one.weight_bytes * (8 / one.layer.element_bytes + _COPIES[device])
    most = _MEMORY_SHARE * total_memory()
    if needs > most:
        return (
            f"at most {most / 2**30:.1f} GiB may be taken of this machine's memory; its weights, also in float64, "
            f"need {needs / 2**30:.1f}"
        )
    return ""


def _on_device(one: Workload, device: Literal["cpu", "cuda"]) -> Workload:
    """A workload that was asked for by name alone: on a GPU in the tensor cores' dtype."""
    dtype = "bfloat16" if device == "cuda" else one.layer.dtype
    return replace(one, layer=replace(one.layer, dtype=dtype, device=device))


def met_baselines(
    workload: Workload, device: str, claims: Iterable[ClaimsSource], profile: str
) -> tuple[tuple[Implementation, ...], tuple[str, ...]]:
    """Returns the baselines that meet the candidate on this workload, and a line for each that does not and why.

    Every fast one does, named or not: who names a weak baseline alone must still be measured against the strong ones.
    Slow ones, which bound their work by `most_flops` and are never the strongest, do where `claims` name them, and in
    profile full.
    """
    named = None if profile == "full" else _named_baselines(claims, workload)
    meets, missing = [], []
    for one in baselines_on(device):
        if one is MOJO_EAGER or not one.takes(0, workload.layer.dtype, device):
            continue
        title = f"{one.name} on {workload.name}"
        if one.program and not shutil.which(one.program):
            missing.append(f"{title}: {one.program} is not installed")
        elif one.published_only and not workload.layer.published:
            missing.append(f"{title}: it computes the published layer alone, and this one is another")
        elif not one.takes(workload.flops, workload.layer.dtype, device):
            missing.append(f"{title}: {one.too_slow(workload.flops, workload.layer.dtype)}")
        elif named is not None and one.most_flops is not None and one.name not in named:
            missing.append(f"{title}: slow, and no reading names it; only profile full measures it")
        else:
            meets.append(one)
    return tuple(meets), tuple(missing)


def host_contest(workload: Workload, claims: Iterable[ClaimsSource]) -> Contest | None:
    """Returns what readings compare a GPU with: the workload on its host, and float32 baselines of the menu there."""
    names = {
        reading.baseline
        for source in claims
        for claim in source.file.claims
        for reading in claim.readings
        if reading.untestable is None
        and (reading.device, reading.baseline_device, reading.workload) == ("cuda", "cpu", workload.name)
        and (reading.baseline_dtype or reading.dtype) == "float32"
    }
    on_cpu = replace(workload, layer=replace(workload.layer, dtype="float32", device="cpu"))
    meets = tuple(one for one in baselines_on("cpu") if one.name in names and one.takes(on_cpu.flops, "float32", "cpu"))
    return Contest(workload=on_cpu, baselines=meets) if meets else None


def _named_baselines(claims: Iterable[ClaimsSource], workload: Workload) -> frozenset[str]:
    """What testable readings of the workload, on its device, name outright."""
    return frozenset(
        name
        for source in claims
        for claim in source.file.claims
        for reading in claim.readings
        if reading.untestable is None and (reading.workload, reading.device) == (workload.name, workload.layer.device)
        for name in (reading.baseline, reading.candidate)
        if name is not None
    )
