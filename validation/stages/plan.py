"""What a run will measure, decided before it begins: workloads, baselines, and what is left out and why."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from validation.implementations.menu import BASELINES
from validation.performance.profile import PROFILES
from validation.stages.ablations import built_ablations, chosen_ablations
from validation.stages.selection import chosen_candidate, chosen_device, load_claims_files, thread_count
from validation.usage import UsageError
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from validation.correctness.plan import Profile as ProfileName
    from validation.implementations.implementation import Implementation
    from validation.implementations.mojo_build import BuiltKernel
    from validation.performance.profile import Profile
    from validation.report.material import ClaimsSource
    from validation.workloads.workload import Workload

#: What each profile measures of the workloads and dtypes that the claims name. One workload with every baseline takes
#: about 10 s a round on 2 cores, so smoke (6 rounds) and standard (13) hold the headline's; full holds all that fit.
_MEASURED: Final = {
    "smoke": frozenset({("seed-claim", "float32")}),
    "standard": frozenset({("seed-claim", "float32")}),
    "full": None,
}

#: A call of more work than this is not measured on a CPU: 600 GFLOP take 1.3 s on two cores at 450 GFLOP/s, and a
#: process makes at least 30 of them.
_MOST_CPU_FLOPS: Final = 6e11

#: Every draw of a run follows from it; resuming repeats the draws.
SEED: Final = 20_241


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the command line asked for; `timed_as` is what its duration is called, if not by the profile."""

    profile: ProfileName
    kernel: str | None
    claims: tuple[Path, ...]
    device: str
    workloads: tuple[str, ...]
    out: Path
    resume: bool
    timed_as: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One workload and the baselines the candidate meets on it."""

    workload: Workload
    baselines: tuple[Implementation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Everything that is decided before the first process starts.

    `correctness` names the profile of cases. `kernel` is a kernel that was brought, as it was named, else None.
    `builds` are the libraries of the Mojo kernel and of its ablations, by name: none when a kernel was brought.
    """

    profile: Profile
    correctness: ProfileName
    kernel: str | None
    device: Literal["cpu", "cuda"]
    threads: int
    claims: tuple[ClaimsSource, ...]
    candidate: Implementation
    builds: Mapping[str, BuiltKernel]
    contests: tuple[Contest, ...]
    named: tuple[Workload, ...]
    left_out: tuple[str, ...]
    timed_as: str


def plan_run(request: RunRequest) -> RunPlan:
    """Returns the plan of a run.

    Raises:
        UsageError: the request names something that is not there, or that cannot be measured here.
    """
    device = chosen_device(request.device)
    claims = load_claims_files(request.claims, own=request.kernel is None)
    named = _named_workloads(claims, device)
    asked = tuple(find_workload(name) for name in request.workloads)
    candidate, built = chosen_candidate(request.kernel)
    measured, left_out = _measured(request.profile, named, asked)
    contests, builds = [], {} if built is None else {candidate.name: built}
    for workload in measured:
        meets, missing = _baselines(workload, device, None if request.profile == "full" else _named_baselines(claims))
        left_out += missing
        if built is not None:
            ablations, missing = chosen_ablations(workload, request.profile)
            ready = built_ablations(ablations)
            meets += tuple(one for one, _built in ready.values())
            builds |= {name: library for name, (_one, library) in ready.items()}
            left_out += missing
        contests.append(Contest(workload=workload, baselines=meets))
    return RunPlan(
        profile=PROFILES[request.profile],
        correctness=request.profile,
        kernel=request.kernel,
        device=device,
        threads=thread_count(),
        claims=claims,
        candidate=candidate,
        builds=builds,
        contests=tuple(contests),
        named=tuple({(one.name, one.layer.dtype): one for one in (*measured, *named)}.values()),
        left_out=left_out,
        # A run that was cut off took longer than can be told.
        timed_as="" if request.resume else request.timed_as or f"{request.profile}-run-s",
    )


def _named_baselines(claims: Iterable[ClaimsSource]) -> frozenset[str]:
    """What testable readings name outright."""
    return frozenset(
        name
        for source in claims
        for claim in source.file.claims
        for reading in claim.readings
        if reading.untestable is None
        for name in (reading.baseline, reading.candidate)
        if name is not None
    )


def _named_workloads(claims: Iterable[ClaimsSource], device: str) -> tuple[Workload, ...]:
    """The workloads of readings that a run on `device` could decide, in the dtype the reading asks for."""
    found: dict[tuple[str, str], Workload] = {}
    for source in claims:
        for claim in source.file.claims:
            for reading in claim.readings:
                if reading.untestable is None and reading.device == device:
                    workload = find_workload(reading.workload)
                    layer = replace(workload.layer, dtype=reading.dtype)
                    found[reading.workload, reading.dtype] = replace(workload, layer=layer)
    return tuple(found.values())


def _measured(
    profile: str, named: tuple[Workload, ...], asked: tuple[Workload, ...]
) -> tuple[tuple[Workload, ...], tuple[str, ...]]:
    """What is measured, and a line for each named workload that is not."""
    if asked:
        names = {one.name for one in asked}
        wanted = [one for one in named if one.name in names]
        wanted += [one for one in asked if one.name not in {w.name for w in wanted}]
        too_large = [one.name for one in wanted if one.flops > _MOST_CPU_FLOPS]
        if too_large:
            raise UsageError(
                f"a workload measured on a CPU has at most {_MOST_CPU_FLOPS / 1e9:.0f} GFLOP a call; "
                f"{too_large[0]} has more. Take a smaller one (see `moe-validation workloads`)."
            )
        return tuple(wanted), tuple(f"workload {one.name}: not asked for" for one in named if one.name not in names)
    most = _MEASURED[profile]
    wanted, left_out = [], []
    for one in named:
        title = f"workload {one.name} in {one.layer.dtype}"
        if one.flops > _MOST_CPU_FLOPS:
            left_out.append(f"{title}: {one.flops / 1e9:,.0f} GFLOP a call are too many for a CPU")
        elif most is not None and (one.name, one.layer.dtype) not in most:
            left_out.append(f"{title}: only profile full measures it")
        else:
            wanted.append(one)
    return tuple(wanted), tuple(left_out)


def _baselines(
    workload: Workload, device: str, named: frozenset[str] | None
) -> tuple[tuple[Implementation, ...], tuple[str, ...]]:
    """The baselines that meet the candidate on this workload, and a line for each that does not and why.

    Every fast one does, named or not: who names a weak baseline alone must still be measured against the strong ones.
    Slow ones, which bound their work by `most_flops` and are never the strongest, do where they are `named`; with
    None all of them do.
    """
    meets, missing = [], []
    for one in BASELINES.values():
        if not one.takes(0, workload.layer.dtype, device):
            continue
        title = f"{one.name} on {workload.name}"
        if one.program and not shutil.which(one.program):
            missing.append(f"{title}: {one.program} is not installed")
        elif not one.takes(workload.flops, workload.layer.dtype, device):
            missing.append(f"{title}: a call of {workload.flops / 1e9:.3g} GFLOP would take too long")
        elif named is not None and one.most_flops is not None and one.name not in named:
            missing.append(f"{title}: slow, and no reading names it; only profile full measures it")
        else:
            meets.append(one)
    return tuple(meets), tuple(missing)
