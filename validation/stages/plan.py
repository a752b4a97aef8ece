"""What a run will measure, decided before it begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from validation.implementations.gpu_bundle import BuiltBundle
from validation.implementations.menu_cuda import MOJO_EAGER
from validation.implementations.mojo_build import BuiltKernel
from validation.performance.profile import PROFILES, on_gpu
from validation.stages.ablations import built_ablations, chosen_ablations
from validation.stages.contest import Contest, host_contest, measured_workloads, met_baselines, named_workloads
from validation.stages.gauges import ENERGY
from validation.stages.official import built_benchmark
from validation.stages.peers import chosen_peers
from validation.stages.selection import chosen_candidate, chosen_device, load_claims_files, thread_count
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from validation.correctness.plan import Profile as ProfileName
    from validation.implementations.implementation import Implementation
    from validation.performance.profile import Profile
    from validation.report.material import ClaimsSource
    from validation.stages.trained import Trained
    from validation.workloads.workload import Workload

#: Every draw of a run follows from it; resuming repeats the draws.
SEED: Final = 20_241


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the command line asked for; `timed_as` is what its duration is called, if not by the profile.

    A `trained` layer is measured in place of the named workloads.
    """

    profile: ProfileName
    kernel: str | None
    claims: tuple[Path, ...]
    device: str
    bundle: Path | None = None
    graph: bool = False
    workloads: tuple[str, ...]
    out: Path
    resume: bool
    timed_as: str | None = None
    trained: Trained | None = None


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
    builds: Mapping[str, BuiltKernel | BuiltBundle]
    contests: tuple[Contest, ...]
    named: tuple[Workload, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    timed_as: str
    energy: frozenset[str] = frozenset()
    official: Path | None = None


def plan_run(request: RunRequest) -> RunPlan:
    """Returns the plan of a run.

    Raises:
        UsageError: the request names something that is not there, or that cannot be measured here.
    """
    device = chosen_device(request.device, request.bundle)
    claims = load_claims_files(request.claims, own=request.kernel is None)
    named = named_workloads(claims, device)
    trained = None if request.trained is None else request.trained.load()
    asked = tuple(find_workload(name) for name in request.workloads)
    if trained is not None:
        asked += (trained.workload,)
    candidate, built = chosen_candidate(request.kernel, device, bundle=request.bundle, graph=request.graph)
    measured, left_out = measured_workloads(request.profile, named, asked, device)
    contests: list[Contest] = []
    builds: dict[str, BuiltKernel | BuiltBundle] = {} if built is None else {candidate.name: built}
    for workload in measured:
        meets, missing = met_baselines(workload, device, claims, request.profile)
        left_out += missing
        peers, missing = chosen_peers(workload, device, request.profile)
        meets += peers
        left_out += missing
        if isinstance(built, BuiltKernel):
            ablations, missing = chosen_ablations(workload, request.profile)
            ready = built_ablations(ablations, workload.layer.dtype)
            meets += tuple(one for one, _built in ready.values())
            builds |= {name: library for name, (_one, library) in ready.items()}
            left_out += missing
        layer = trained.layer if trained is not None and workload == trained.workload else None
        if isinstance(built, BuiltBundle):
            meets += (replace(MOJO_EAGER, environment=candidate.environment),)
        # One process a round is enough for all dtypes of a workload on the GPU.
        first = device == "cuda" and workload.name not in {one.workload.name for one in contests}
        host = host_contest(workload, claims) if first else None
        contests.append(Contest(workload=workload, layer=layer, baselines=meets, host=host))
    return RunPlan(
        profile=PROFILES[request.profile] if device == "cpu" else on_gpu(PROFILES[request.profile]),
        correctness=request.profile,
        kernel=request.kernel,
        device=device,
        threads=thread_count(),
        claims=claims,
        candidate=candidate,
        builds=builds,
        contests=tuple(contests),
        named=tuple(
            {
                (one.name, one.layer.dtype): one
                for one in (*measured, *named, *(contest.host.workload for contest in contests if contest.host))
            }.values()
        ),
        left_out=left_out,
        notes=() if trained is None else (trained.note,),
        energy=_energy(claims, candidate),
        official=built_benchmark() if isinstance(built, BuiltKernel) and request.profile != "smoke" else None,
        # A run that was cut off took longer than can be told.
        timed_as="" if request.resume or device == "cuda" else request.timed_as or f"{request.profile}-run-s",
    )


def _energy(claims: Iterable[ClaimsSource], candidate: Implementation) -> frozenset[str]:
    """Whose energy is counted: the candidate's, and that of the baselines it is compared with by a reading."""
    named = {
        reading.baseline
        for source in claims
        for claim in source.file.claims
        for reading in claim.readings
        if reading.figure == ENERGY and reading.device == "cuda" and reading.baseline
    }
    return frozenset({candidate.name, *named})
