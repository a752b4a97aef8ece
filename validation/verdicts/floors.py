"""The floor: the least time in which the machine could have done the work, by ceilings and shape alone.

A floor calls claims impossible, so it must be a true lower bound: each doubt is settled towards the smaller time.
"""

from dataclasses import dataclass
from typing import Final, Literal

from validation.evidence.record import Evidence, WorkloadRecord
from validation.performance.ceiling import Ceiling, Resource
from validation.verdicts.datasheet import Datasheet, find

_BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The least time of one call in nanoseconds, what binds it, and the rate it rests on in FLOP/s or byte/s."""

    ns: float
    bound_by: Literal["compute", "memory"]
    rate: float


def floor(evidence: Evidence, workload: WorkloadRecord, device: str) -> Floor | None:
    """Returns max(flops / peak, bytes / bandwidth) of one call of `workload` on `device`.

    The peak is the best measured on any number of threads, or the datasheet's where that is higher. Bytes count at the
    bandwidth of the fastest level measured, because a layer called again and again may find its weights in a cache;
    only what no cache can hold has to come from memory: the weights' bytes beyond all caches together.

    Returns:
        The floor; None when the peak of the workload's dtype is not known.
    """
    sheet = _datasheet(evidence, device)
    peak = _peak(evidence, workload.dtype, device, sheet)
    if peak is None:
        return None
    compute = Floor(ns=workload.flops / peak * 1e9, bound_by="compute", rate=peak)
    memory = _memory(evidence, workload, device, sheet)
    return compute if memory is None or compute.ns >= memory.ns else memory


def _peak(evidence: Evidence, dtype: str, device: str, sheet: Datasheet | None) -> float | None:
    measured = [one.value for one in _of(evidence, device, Resource.COMPUTE) if one.dtype == dtype]
    stated = [] if sheet is None else [sheet.peak(dtype)]
    return max(measured + stated, default=None)


def _memory(evidence: Evidence, workload: WorkloadRecord, device: str, sheet: Datasheet | None) -> Floor | None:
    reads = _of(evidence, device, Resource.READ_BANDWIDTH)
    slow = [one.value for one in reads if (one.level or "").upper() in {"DRAM", "HBM"}]
    slow += [] if sheet is None else [sheet.memory]
    caches = _cache_bytes(evidence, device, sheet)
    candidates = []
    # Without a cache's bandwidth among them, the fastest level measured says nothing of warm calls.
    if any((one.level or "").upper() not in {"DRAM", "HBM"} for one in reads):
        fast = max(one.value for one in reads)
        candidates.append(Floor(ns=workload.min_bytes / fast * 1e9, bound_by="memory", rate=fast))
    if slow and caches is not None:
        rate = max(slow)
        # Tokens and outputs stream and may be written at more than the read bandwidth, so only weights count here.
        tokens = 2 * workload.tokens * workload.d_model * _BYTES[workload.dtype]
        must = max(0, workload.min_bytes - tokens - caches)
        candidates.append(Floor(ns=must / rate * 1e9, bound_by="memory", rate=rate))
    return max(candidates, key=lambda one: one.ns, default=None)


def _cache_bytes(evidence: Evidence, device: str, sheet: Datasheet | None) -> int | None:
    """The most that all caches could hold. Every core is given an L3 of its own: how many share one is not recorded."""
    if device == "cuda":
        return None if sheet is None else sheet.cache_bytes
    caches = evidence.environment.caches
    return evidence.environment.cores * sum(caches.values()) if caches else None


def _datasheet(evidence: Evidence, device: str) -> Datasheet | None:
    gpu = evidence.environment.gpu
    return find(gpu.name) if device == "cuda" and gpu is not None else None


def _of(evidence: Evidence, device: str, resource: Resource) -> list[Ceiling]:
    return [one for one in evidence.ceilings if one.device == device and one.resource is resource]
