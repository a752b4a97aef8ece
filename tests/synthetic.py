"""Evidence as a run would have left it, with true speeds that the test chose.

    evidence()                                        two Zen4 cores, the study's figures at seed-claim
    evidence(times_us={"seed-claim": {...}})          your own true times, in microseconds per call
    evidence(process_noise=0.2)                       too noisy to decide anything
    evidence(aa_bias=1.2)                             the candidate differs from itself
    evidence(dead={(3, Role.BASELINES): "killed by SIGSEGV"}, status=Status.PARTIAL)
    gpu_evidence()                                    an H200 host

Noise is lognormal at three scales: the process, the call, and a slow drift over the run (which the pairing removes).
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from validation.correctness.case import Case, Gate, Outcome
from validation.evidence.environment import Environment, Gpu
from validation.evidence.record import Evidence, ImplementationRecord, Status, Suite, WorkloadRecord
from validation.performance.ceiling import Ceiling, Resource
from validation.performance.sample import PROBE_SLOW, Block, ProcessRun, Role, Series, apply_rule, probe_rule

CANDIDATE: Final = "mojo"
SUITE: Final = Suite(version="0.1.0", commit="0123456789abcdef0123456789abcdef01234567", dirty=False)
RECORDED_AT: Final = "2026-01-02T03:04:05Z"

#: The all-core probe of the synthetic CPU, FLOP/s.
PROBE_USUAL: Final = 234.5e9
#: Its best: as much as the fastest probe may read.
PEAK: Final = 1.015 * PROBE_USUAL

Times = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Dimensions of one named workload."""

    tokens: int
    d_model: int
    d_ff: int
    n_experts: int
    top_k: int
    gated: bool = False


SHAPES: Final[Mapping[str, Shape]] = {
    "seed-claim": Shape(tokens=1024, d_model=256, d_ff=1024, n_experts=4, top_k=2),
    "seed-claim-t1": Shape(tokens=1, d_model=256, d_ff=1024, n_experts=4, top_k=2),
    "seed-claim-t8": Shape(tokens=8, d_model=256, d_ff=1024, n_experts=4, top_k=2),
    "seed-claim-t32": Shape(tokens=32, d_model=256, d_ff=1024, n_experts=4, top_k=2),
    "seed-quick": Shape(tokens=512, d_model=128, d_ff=512, n_experts=4, top_k=2),
    "seed-small": Shape(tokens=16384, d_model=1024, d_ff=4096, n_experts=8, top_k=2),
    "seed-serving": Shape(tokens=16384, d_model=2048, d_ff=8192, n_experts=8, top_k=2),
}

#: Medians of the study on two Zen4 cores, microseconds per call.
CPU_TIMES_US: Final[Times] = {
    "seed-claim": {
        CANDIDATE: 10_060.0,
        "numpy_grouped": 13_800.0,
        "numpy_as_published": 28_170.0,
        "numpy_per_token": 72_400.0,
        "torch_per_token": 162_000.0,
        "torch_per_expert": 14_410.0,
        "torch_grouped_mm": 14_020.0,
        "torch_dense": 34_600.0,
        "torch_onednn_prepacked": 11_910.0,
    },
    "seed-quick": {
        CANDIDATE: 1_266.0,
        "numpy_grouped": 2_130.0,
        "numpy_per_token": 12_400.0,
        "torch_per_expert": 1_840.0,
    },
    "seed-claim-t1": {CANDIDATE: 26.0, "numpy_grouped": 190.0, "torch_per_expert": 167.0},
}

#: Medians of the study on an H200, microseconds per call; the host's NumPy figures are in `CPU_TIMES_US` form.
GPU_TIMES_US: Final[Times] = {
    "seed-claim:bfloat16": {
        CANDIDATE: 8.0,
        "torch_grouped_mm": 405.0,
        "torch_per_expert": 1_205.0,
        "torch_dense": 218.0,
        "torch_dense_graph": 56.8,
    },
    "seed-claim": {CANDIDATE: 60.0, "torch_per_expert": 732.0, "torch_dense": 419.0},
}

_FAMILIES: Final = {"num": "numpy", "tor": "torch", "cpp": "cpp", "moj": "mojo"}
_BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}


def environment(*, machine: str = "zen4-2core", gpu: Gpu | None = None) -> Environment:
    """A machine; its fingerprint follows from its name."""
    return Environment(
        machine=machine,
        fingerprint=_sha256(machine),
        cpu_model="AMD EPYC 9R14",
        cpu_family="25/17",
        cores=2,
        threads_used=2,
        memory_bytes=24 << 30,
        caches={"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20},
        cpu_features=("avx2", "avx512_bf16", "avx512f", "fma"),
        governor="unknown",
        virtualized="kvm",
        os="Debian GNU/Linux 12 (bookworm)",
        kernel="6.18.0",
        libc="glibc 2.36",
        python="3.11.7",
        packages={"mojo": "1.2.0", "numpy": "2.4.6", "torch": "2.13.0+cpu"},
        compilers={"g++": "12.2.0", "mojo": "1.2.0"},
        compiler_flags={"mojo": "-O3"},
        gpu=gpu,
    )


def cpu_ceilings() -> tuple[Ceiling, ...]:
    """The study's ceilings of two Zen4 cores."""
    compute = {("float32", 1): 117.2e9, ("float32", 2): PEAK, ("bfloat16", 1): 234.0e9, ("bfloat16", 2): 469.0e9}
    reads = {"L1": 434.0e9, "L2": 220.0e9, "L3": 190.0e9, "DRAM": 34.8e9}
    return (
        *(_ceiling("cpu", Resource.COMPUTE, value, dtype=dtype, threads=n) for (dtype, n), value in compute.items()),
        *(_ceiling("cpu", Resource.READ_BANDWIDTH, value, level=level, threads=2) for level, value in reads.items()),
    )


def host_ceilings() -> tuple[Ceiling, ...]:
    """The study's ceilings of an H200's host, 16 cores of Sapphire Rapids with AMX."""
    return (
        _ceiling("cpu", Resource.COMPUTE, 2.65e12, dtype="float32", threads=16),
        _ceiling("cpu", Resource.COMPUTE, 43e12, dtype="bfloat16", threads=16),
        _ceiling("cpu", Resource.READ_BANDWIDTH, 3.0e12, level="L2", threads=16),
        _ceiling("cpu", Resource.READ_BANDWIDTH, 0.2e12, level="DRAM", threads=16),
    )


def gpu_ceilings() -> tuple[Ceiling, ...]:
    """The study's ceilings of one H200."""
    return (
        _ceiling("cuda", Resource.COMPUTE, 785e12, dtype="bfloat16", threads=1),
        _ceiling("cuda", Resource.COMPUTE, 785e12, dtype="float16", threads=1),
        _ceiling("cuda", Resource.COMPUTE, 51e12, dtype="float32", threads=1),
        _ceiling("cuda", Resource.READ_BANDWIDTH, 4.3e12, level="DRAM", threads=1),
        _ceiling("cuda", Resource.READ_BANDWIDTH, 9.0e12, level="L2", threads=1),
    )


def cases(implementation: str = CANDIDATE, dtype: str = "float32") -> tuple[Case, ...]:
    """Correctness cases that passed, with margins as a good kernel shows them."""
    checks = {"oracle": 0.11, "exact": 0.0, "permutation": 0.0, "empty_expert": 0.09, "skew": 0.14}
    return tuple(
        Case(
            id=f"{check}-{implementation}-{dtype}-{index}",
            check=check,
            implementation=implementation,
            dtype=dtype,
            shape=f"T{tokens} d255 f704 E8 k2",
            outcome=Outcome.PASSED,
            worst=worst,
            effective_bits={"float32": 20.6, "bfloat16": 7.8, "float16": 10.8}[dtype],
            repro=f"moe-validation check --case {check}-{dtype}-{index}",
        )
        for check, worst in checks.items()
        for index, tokens in enumerate((1, 17, 257))
    )


def gates(implementation: str = CANDIDATE) -> tuple[Gate, ...]:
    """Integrity gates that found nothing."""
    names = ("memoised", "timed_outputs", "lazy", "patched_clock", "reads_answer", "stale_memory", "mutates_inputs")
    return tuple(Gate(gate=name, implementation=implementation, outcome=Outcome.PASSED) for name in names)


def evidence(  # noqa: PLR0913  # a builder: every argument is one thing a test may plant
    *,
    times_us: Times = CPU_TIMES_US,
    machine: str = "zen4-2core",
    device: Literal["cpu", "cuda"] = "cpu",
    pairs: int = 12,
    profile: str = "standard",
    blocks: int = 4,
    calls: int = 8,
    process_noise: float = 0.01,
    call_noise: float = 0.02,
    drift: float = 0.05,
    aa_bias: float = 1.0,
    rejected: float = 0.1,
    outputs_wrong: int = 0,
    dead: Mapping[tuple[int, Role], str] | None = None,
    status: Status = Status.COMPLETE,
    ceilings: tuple[Ceiling, ...] | None = None,
    gpu: Gpu | None = None,
    host_times_us: Times | None = None,
    seed: int = 0,
) -> Evidence:
    """A run's evidence whose true times are `times_us`.

    Args:
        times_us: true microseconds per call, by workload (`name` or `name:dtype`) and implementation.
        machine: name of the machine, which also determines its fingerprint.
        device: where the candidate ran.
        pairs: kept rounds; round 0 is added and discarded.
        profile: name of the profile.
        blocks: blocks of timed calls per series.
        calls: timed calls per block.
        process_noise: relative spread between processes.
        call_noise: relative spread between calls.
        drift: relative slow drift from the first round to the last.
        aa_bias: factor by which the second candidate process is slower than the first.
        rejected: share of blocks during which the host stole a core: a slow probe and doubled times.
        outputs_wrong: wrong outputs planted in the candidate's second round.
        dead: how a process (round, role) died; it leaves no series.
        status: complete, or partial for a run that was cut off.
        ceilings: measured ceilings; those of the study when None.
        gpu: the accelerator, if the machine has one.
        host_times_us: with device cuda, times of what ran on the host CPU.
        seed: of every random draw.
    """
    rng = np.random.default_rng(seed)
    by_device: dict[str, Times] = {device: times_us}
    if host_times_us:
        by_device["cpu"] = host_times_us
    names = sorted({name for times in by_device.values() for row in times.values() for name in row})
    processes = []
    for key in sorted({key for times in by_device.values() for key in times}):
        for round_ in range(pairs + 1):
            roles = [Role.CANDIDATE, Role.CANDIDATE_AGAIN, Role.BASELINES]
            rng.shuffle(roles)
            slow = math.exp(drift * round_ / max(pairs, 1))
            for position, role in enumerate(roles):
                ended = (dead or {}).get((round_, role), "")
                series = []
                for on, times in by_device.items():
                    for name, true_us in times.get(key, {}).items():
                        if (name == CANDIDATE) != (role is not Role.BASELINES):
                            continue
                        bias = aa_bias if role is Role.CANDIDATE_AGAIN else 1.0
                        center = true_us * 1e3 * slow * bias * math.exp(rng.normal(0.0, process_noise))
                        wrong = outputs_wrong if role is Role.CANDIDATE and round_ == 2 else 0
                        series.append(_series(rng, name, key, on, center, blocks, calls, call_noise, rejected, wrong))
                processes.append(
                    ProcessRun(
                        round=round_,
                        position=position,
                        role=Role(role),
                        discarded=round_ == 0,
                        threads=2,
                        blas="openblas 0.3.31 SkylakeX, 2 threads",
                        series=() if ended else tuple(series),
                        ended=ended,
                        workload=key.partition(":")[0],
                    )
                )
    rules = {one: probe_rule(processes, device=one) for one in (device, "cpu")}
    for one, rule in rules.items():
        processes = processes if rule is None else list(apply_rule(processes, rule, device=one))
    return Evidence(
        run_id=_sha256(f"{machine}/{seed}/{device}")[:16],
        recorded_at=RECORDED_AT,
        profile=profile,
        device=device,
        seed=seed,
        pairs_planned=pairs,
        status=status,
        suite=SUITE,
        environment=environment(machine=machine, gpu=gpu),
        probe=rules[device],
        host_probe=rules["cpu"] if device == "cuda" else None,
        ceilings=cpu_ceilings() if ceilings is None else ceilings,
        workloads=tuple({key: workload(key) for times in by_device.values() for key in times}.values()),
        implementations=tuple(implementation(name) for name in names),
        cases=tuple(case for dtype in sorted({workload(key).dtype for key in times_us}) for case in cases(dtype=dtype)),
        gates=gates(),
        processes=tuple(processes),
    )


def gpu_evidence(
    *, machine: str = "h200-host", times_us: Times = GPU_TIMES_US, seed: int = 1, pairs: int = 12
) -> Evidence:
    """A run on an H200 whose host also timed NumPy."""
    return evidence(
        times_us=times_us,
        machine=machine,
        device="cuda",
        pairs=pairs,
        ceilings=(*host_ceilings(), *gpu_ceilings()),
        gpu=Gpu(name="NVIDIA H200", memory_bytes=141 << 30, driver="580.65", compute_capability="9.0"),
        host_times_us={"seed-claim": {"numpy_grouped": 6_085.0, "numpy_per_token": 228_000.0}},
        seed=seed,
    )


def workload(key: str) -> WorkloadRecord:
    """The shape behind `name` or `name:dtype`; bytes are those of all weights, tokens and outputs, once."""
    name, _, dtype = key.partition(":")
    shape, dtype = SHAPES[name], dtype or "float32"
    matmuls = 3 if shape.gated else 2
    touched = min(shape.n_experts, shape.tokens * shape.top_k)
    elements = touched * matmuls * shape.d_model * shape.d_ff + 2 * shape.tokens * shape.d_model
    return WorkloadRecord(
        name=name,
        tokens=shape.tokens,
        d_model=shape.d_model,
        d_ff=shape.d_ff,
        n_experts=shape.n_experts,
        top_k=shape.top_k,
        activation="relu",
        gated=shape.gated,
        dtype=dtype,
        routing="uniform",
        seed=0,
        flops=shape.tokens * shape.top_k * matmuls * 2 * shape.d_model * shape.d_ff,
        min_bytes=elements * _BYTES[dtype],
    )


def implementation(name: str) -> ImplementationRecord:
    """What ran under `name`; the candidate is `mojo`."""
    return ImplementationRecord(
        name=name,
        family=_FAMILIES[name[:3]],
        role="candidate" if name == CANDIDATE else "baseline",
        description=name.replace("_", " "),
        sha256=_sha256(name),
        build={"compiler": "mojo 1.2.0"} if name == CANDIDATE else {},
    )


def _series(  # noqa: PLR0913, PLR0917  # one call site, in the order of the loop above
    rng: np.random.Generator,
    name: str,
    key: str,
    device: str,
    center_ns: float,
    blocks: int,
    calls: int,
    call_noise: float,
    rejected: float,
    wrong: int,
) -> Series:
    workload_name, _, dtype = key.partition(":")
    made = []
    for index in range(blocks):
        stolen = bool(rng.random() < rejected) and index > 0
        before, after = (float(speed) for speed in rng.uniform(0.985, 1.015, 2))
        # What the probes see, the calls feel; of what was stolen they feel more.
        center = center_ns * (2.0 if stolen else 2 / (before + after))
        calls_ns = tuple(int(ns) for ns in center * np.exp(np.abs(rng.normal(0.0, call_noise, calls))))
        made.append(
            Block(
                probe_before=PROBE_USUAL * before,
                probe_after=PROBE_USUAL * (0.5 if stolen else after),
                accepted=not stolen,
                reason=PROBE_SLOW if stolen else "",
                parent_ns=sum(calls_ns) + 200_000,
                calls_ns=calls_ns,
                outputs_wrong=wrong if index == 0 else 0,
            )
        )
    return Series(
        implementation=name,
        workload=workload_name,
        dtype=dtype or "float32",
        device=device,
        prepare_ns=int(center_ns / 2),
        prepare_bytes=8 << 20,
        first_call_ns=int(center_ns * 1.5),
        blocks=tuple(made),
    )


def with_blocks(evidence: Evidence, change: Callable[[ProcessRun, Block], Block]) -> Evidence:
    """The same evidence with every timed block as `change` returns it for its process."""
    processes = []
    for process in evidence.processes:
        series = [
            one.model_copy(update={"blocks": tuple(change(process, block) for block in one.blocks)})
            for one in process.series
        ]
        processes.append(process.model_copy(update={"series": tuple(series)}))
    return evidence.model_copy(update={"processes": tuple(processes)})


def _ceiling(  # noqa: PLR0913  # the fields of the record
    device: Literal["cpu", "cuda"],
    resource: Resource,
    value: float,
    *,
    threads: int,
    dtype: str | None = None,
    level: str | None = None,
) -> Ceiling:
    return Ceiling(
        device=device,
        resource=resource,
        dtype=dtype,
        level=level,
        threads=threads,
        unit="flop/s" if resource is Resource.COMPUTE else "byte/s",
        value=value,
        samples=(value * 0.99, value, value * 0.995),
        method="synthetic",
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
