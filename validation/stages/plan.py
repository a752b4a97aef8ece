"""What a run will measure, decided before it begins: workloads, baselines, and what is left out and why."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from validation.implementations.gpu_bundle import BuiltBundle
from validation.implementations.menu_cuda import MOJO_EAGER, baselines_on
from validation.implementations.mojo_build import BuiltKernel
from validation.performance.profile import PROFILES, on_gpu
from validation.stages.ablations import built_ablations, chosen_ablations
from validation.stages.gauges import ENERGY
from validation.stages.official import built_benchmark
from validation.stages.peers import chosen_peers
from validation.stages.selection import chosen_candidate, chosen_device, load_claims_files, thread_count
from validation.usage import UsageError
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from validation.correctness.plan import Profile as ProfileName
    from validation.implementations.implementation import Implementation
    from validation.performance.profile import Profile
    from validation.report.material import ClaimsSource
    from validation.stages.trained import Trained
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

#: On a GPU the bound is the oracle's, which answers in float64 on the host: 3 TFLOP take a 16-core one 10 s.
_MOST_GPU_FLOPS: Final = 3e12

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
    named = _named_workloads(claims, device)
    trained = None if request.trained is None else request.trained.load()
    asked = tuple(find_workload(name) for name in request.workloads)
    if trained is not None:
        asked += (trained.workload,)
    candidate, built = chosen_candidate(request.kernel, device, bundle=request.bundle, graph=request.graph)
    measured, left_out = _measured(request.profile, named, asked, device)
    contests: list[Contest] = []
    builds: dict[str, BuiltKernel | BuiltBundle] = {} if built is None else {candidate.name: built}
    for workload in measured:
        meets, missing = _baselines(
            workload, device, None if request.profile == "full" else _named_baselines(claims, workload)
        )
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
        host = _host_contest(workload, claims) if first else None
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


def _named_workloads(claims: Iterable[ClaimsSource], device: str) -> tuple[Workload, ...]:
    """The workloads of readings that a run on `device` could decide, in the dtype the reading asks for."""
    found: dict[tuple[str, str], Workload] = {}
    for source in claims:
        for claim in source.file.claims:
            for reading in claim.readings:
                if reading.untestable is None and reading.device == device:
                    workload = find_workload(reading.workload)
                    layer = replace(workload.layer, dtype=reading.dtype, device=device)
                    found[reading.workload, reading.dtype] = replace(workload, layer=layer)
    return tuple(found.values())


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


def _host_contest(workload: Workload, claims: Iterable[ClaimsSource]) -> Contest | None:
    """What readings compare the workload on a GPU with on its host: float32 baselines of the menu on the CPU."""
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


def _on_device(one: Workload, device: Literal["cpu", "cuda"]) -> Workload:
    """A workload that was asked for by name alone: on a GPU in the tensor cores' dtype."""
    dtype = "bfloat16" if device == "cuda" else one.layer.dtype
    return replace(one, layer=replace(one.layer, dtype=dtype, device=device))


def _measured(
    profile: str, named: tuple[Workload, ...], asked: tuple[Workload, ...], device: Literal["cpu", "cuda"]
) -> tuple[tuple[Workload, ...], tuple[str, ...]]:
    """What is measured, and a line for each named workload that is not."""
    most_flops, kind = _MOST_GPU_FLOPS, "GPU"
    if device == "cpu":
        threads = thread_count()
        most_flops, kind = _MOST_THREAD_FLOPS * threads, f"CPU with {threads} threads"
    if asked:
        names = {one.name for one in asked}
        wanted = [one for one in named if one.name in names]
        wanted += [_on_device(one, device) for one in asked if one.name not in {w.name for w in wanted}]
        too_large = [one.name for one in wanted if one.flops > most_flops]
        if too_large:
            raise UsageError(
                f"a workload measured on a {kind} has at most {most_flops / 1e9:.0f} GFLOP a call; "
                f"{too_large[0]} has more. Take a smaller one (see `moe-validation workloads`)."
            )
        return tuple(wanted), tuple(f"workload {one.name}: not asked for" for one in named if one.name not in names)
    most = (_MEASURED if device == "cpu" else _MEASURED_ON_GPU)[profile]
    wanted, left_out = [], []
    for one in named:
        title = f"workload {one.name} in {one.layer.dtype}"
        if one.flops > most_flops:
            left_out.append(f"{title}: {one.flops / 1e9:,.0f} GFLOP a call are too many for a {kind}")
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
    for one in baselines_on(device):
        if one is MOJO_EAGER or not one.takes(0, workload.layer.dtype, device):
            continue
        title = f"{one.name} on {workload.name}"
        if one.program and not shutil.which(one.program):
            missing.append(f"{title}: {one.program} is not installed")
        elif one.published_only and not workload.layer.published:
            missing.append(f"{title}: it computes the published layer alone, and this one is another")
        elif not one.takes(workload.flops, workload.layer.dtype, device):
            missing.append(f"{title}: a call of {workload.flops / 1e9:.3g} GFLOP would take too long")
        elif named is not None and one.most_flops is not None and one.name not in named:
            missing.append(f"{title}: slow, and no reading names it; only profile full measures it")
        else:
            meets.append(one)
    return tuple(meets), tuple(missing)
