"""The floor: the least time in which the machine could have done the work, by ceilings and shape alone.

A floor calls claims impossible, so it must be a true lower bound: each doubt is settled towards the smaller time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from validation.evidence.record import Evidence, WorkloadRecord
from validation.performance.ceiling import Ceiling, Resource
from validation.performance.sample import probes
from validation.verdicts.datasheet import Datasheet, find

_BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The least time of one call in nanoseconds, what binds it, and the rate it rests on in FLOP/s or byte/s."""

    ns: float
    bound_by: Literal["compute", "memory"]
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What a floor follows from: the ceilings of one device, what its caches hold together in bytes, its datasheet.

    `usual_probe` is what the speed probe usually read beside the calls, in FLOP/s of float32, `fastest_probe` the most.
    """

    ceilings: tuple[Ceiling, ...]
    cache_bytes: int | None
    sheet: Datasheet | None = None
    usual_probe: float | None = None
    fastest_probe: float | None = None

    @classmethod
    def of_cpu(cls, ceilings: Iterable[Ceiling], caches: Mapping[str, int], cores: int) -> Self:
        """A CPU, by `caches` as one core sees them. How many cores share an L3 is not known: each is given its own."""
        return cls(
            ceilings=tuple(one for one in ceilings if one.device == "cpu"),
            cache_bytes=cores * sum(caches.values()) if caches else None,
        )

    @classmethod
    def of(cls, evidence: Evidence, device: str) -> Self:
        """The evidence's CPU or GPU."""
        environment = evidence.environment
        if device == "cpu":
            rule = evidence.rule_of(device)
            usual_probe = None if rule is None else rule.usual_flop_per_s
            hardware = cls.of_cpu(evidence.ceilings, environment.caches, environment.cores)
            fastest_probe = max(probes(evidence.processes, device), default=None)
            return replace(hardware, usual_probe=usual_probe, fastest_probe=fastest_probe)
        sheet = None if environment.gpu is None else find(environment.gpu.name)
        return cls(
            ceilings=tuple(one for one in evidence.ceilings if one.device == device),
            cache_bytes=None if sheet is None else sheet.cache_bytes,
            sheet=sheet,
        )


def usual_floor(hardware: Hardware, workload: WorkloadRecord) -> Floor | None:
    """Returns the floor by the ceilings as they usually are: what a share of the hardware's limit is a share of.

    No bound: a call counts with the time it would have taken at the usual speed, and may be fast by chance.
    """
    ceilings = tuple(one.model_copy(update={"value": one.usual(hardware.usual_probe)}) for one in hardware.ceilings)
    return floor(replace(hardware, ceilings=ceilings, fastest_probe=None), workload)


def from_memory(hardware: Hardware, workload: WorkloadRecord) -> Floor | None:
    """Returns the time in which memory delivers all of a call's bytes: what a share of its bandwidth is a share of.

    The rate is the usual one of the slowest level measured. No bound: a cache may hold part of the bytes.
    """
    rate = max(
        (one.usual(hardware.usual_probe) for one in _of(hardware, Resource.READ_BANDWIDTH) if _slow(one)), default=None
    )
    return None if rate is None else Floor(ns=workload.min_bytes / rate * 1e9, bound_by="memory", rate=rate)


def floor(hardware: Hardware, workload: WorkloadRecord) -> Floor | None:
    """Returns max(flops / peak, bytes / bandwidth) of one call of `workload`.

    The peak is the best measured on any number of threads, or what is higher of the datasheet's and of float32 the
    fastest probe's, whose loop is the ceiling's: once both measurements of a ceiling stood beside a stranger's work, at
    0.8 of what a hundred probes of the run read, and an honest 12 ms was below a floor of 13. Bytes count at the
    bandwidth of the fastest level measured, because a layer called again and again may find its weights in a cache;
    only what no cache can hold has to come from memory: the weights' bytes beyond all caches together.

    Returns:
        The floor; None when the peak of the workload's dtype is not known.
    """
    peak = _peak(hardware, workload.dtype)
    if peak is None:
        return None
    compute = Floor(ns=workload.flops / peak * 1e9, bound_by="compute", rate=peak)
    memory = _memory(hardware, workload)
    return compute if memory is None or compute.ns >= memory.ns else memory


def _peak(hardware: Hardware, dtype: str) -> float | None:
    measured = [one.value for one in _of(hardware, Resource.COMPUTE) if one.dtype == dtype]
    stated = [] if hardware.sheet is None else [hardware.sheet.peak(dtype)]
    probed = [hardware.fastest_probe] if measured and hardware.fastest_probe and dtype == "float32" else []
    return max(measured + stated + probed, default=None)


def _memory(hardware: Hardware, workload: WorkloadRecord) -> Floor | None:
    reads = _of(hardware, Resource.READ_BANDWIDTH)
    slow = [one.value for one in reads if _slow(one)]
    slow += [] if hardware.sheet is None else [hardware.sheet.memory]
    candidates = []
    # Without a cache's bandwidth among them, the fastest level measured says nothing of warm calls.
    if not all(_slow(one) for one in reads):
        fast = max(one.value for one in reads)
        candidates.append(Floor(ns=workload.min_bytes / fast * 1e9, bound_by="memory", rate=fast))
    if slow and hardware.cache_bytes is not None:
        rate = max(slow)
        # Tokens and outputs stream and may be written at more than the read bandwidth, so only weights count here.
        tokens = 2 * workload.tokens * workload.d_model * _BYTES[workload.dtype]
        must = max(0, workload.min_bytes - tokens - hardware.cache_bytes)
        candidates.append(Floor(ns=must / rate * 1e9, bound_by="memory", rate=rate))
    return max(candidates, key=lambda one: one.ns, default=None)


def _slow(ceiling: Ceiling) -> bool:
    """Whether it is memory that is read, not a cache."""
    return (ceiling.level or "").upper() in {"DRAM", "HBM"}


def _of(hardware: Hardware, resource: Resource) -> list[Ceiling]:
    return [one for one in hardware.ceilings if one.resource is resource]
