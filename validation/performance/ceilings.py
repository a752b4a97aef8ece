"""Measures the machine's ceilings: peak FLOP/s by dtype, and bytes/s read by cache level, on one and on all cores."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from validation.cpu import Cpu, read_cpu, total_memory
from validation.performance.ceiling import Ceiling, Resource
from validation.performance.probe import PEAK_TASKS, READ_GRAIN, Probe

#: A host takes cores away for seconds at a time: the repeats go round all ceilings, so that none has all of its own
#: inside one such spell. 14 ceilings x 12 rounds x 10 ms = 1.7 s.
ROUNDS: Final = 12
SECONDS: Final = 0.01
#: STREAM's rule (McCalpin, "STREAM benchmark rules"): four times the last cache at least. It is read from end to end
#: and round again, of which a cache that drops what was used longest ago holds nothing. With 8 times, 2.4 GiB beside a
#: cache of 300 MiB, the pages alone took 5 s, twice a run.
DRAM_BYTES: Final = 256 << 20
DRAM_CACHES: Final = 4
#: The buffer may take this part of the memory.
MEMORY_SHARE: Final = 8


class Meter(Protocol):
    """What measures: the probe, or a test's stand-in."""

    def __call__(self) -> float:
        """FLOP/s of the speed probe."""

    def supports(self, dtype: str) -> bool:
        """Whether `peak(dtype, ...)` can be asked."""

    def peak(self, dtype: str, threads: int, seconds: float) -> float:
        """FLOP/s."""

    def read(self, threads: int, seconds: float, bytes_per_thread: int) -> float:
        """Byte/s."""

    def method(self, dtype: str | None) -> str:
        """How, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repeat:
    """One answer to a question, and of a peak what the speed probe read beside it."""

    value: float
    probe: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One ceiling before its samples are there; `ask` is called once per round."""

    resource: Resource
    dtype: str | None = None
    level: str | None = None
    threads: int
    unit: Literal["flop/s", "byte/s"]
    method: str
    ask: Callable[[], float]


def measure_ceilings(*, rounds: int = ROUNDS, seconds: float = SECONDS) -> tuple[Ceiling, ...]:
    """Returns this machine's CPU ceilings, measured now in about 3 seconds.

    Raises:
        UsageError: there is no C compiler, or no threads or memory to be had.
    """
    cpu = read_cpu()
    with Probe(cores=cpu.cores, buffer_bytes=buffer_bytes(cpu, total_memory())) as probe:
        return ceilings_of(probe, cpu, probe.buffer_bytes, rounds=rounds, seconds=seconds)


def ceilings_of(meter: Meter, cpu: Cpu, memory: int, *, rounds: int, seconds: float) -> tuple[Ceiling, ...]:
    """Returns what `meter` finds on `cpu`, reading at most `memory` bytes; a ceiling's value is its best repeat.

    The best, not the median: every disturbance makes a core slower and none makes it faster.
    """
    questions = (*_compute(meter, cpu, seconds), *_bandwidth(meter, cpu, memory, seconds))
    repeats: list[list[_Repeat]] = [[] for _ in questions]
    for _ in range(rounds):
        for question, taken in zip(questions, repeats, strict=True):
            taken.append(_repeat(question, meter))
    return tuple(_ceiling(question, taken) for question, taken in zip(questions, repeats, strict=True))


def _repeat(question: _Question, meter: Meter) -> _Repeat:
    """Asks once; a peak of the cores between two probes."""
    if question.resource is not Resource.COMPUTE:
        return _Repeat(value=question.ask())
    before, value, after = meter(), question.ask(), meter()
    return _Repeat(value=value, probe=(before + after) / 2)


def larger(earlier: tuple[Ceiling, ...], later: tuple[Ceiling, ...]) -> tuple[Ceiling, ...]:
    """Returns the earlier ceilings, each with the repeats of the later one of the same thing added to its own."""
    again = {_what(one): one for one in later}
    return tuple(_joined(one, again[_what(one)]) if _what(one) in again else one for one in earlier)


def _joined(one: Ceiling, other: Ceiling) -> Ceiling:
    samples, probes = (*one.samples, *other.samples), (*one.probes, *other.probes)
    method = f"{one.method.rpartition(', best of ')[0]}, best of {len(samples)} at two times"
    value = max(one.value, other.value)
    return one.model_copy(update={"value": value, "samples": samples, "probes": probes, "method": method})


def _what(one: Ceiling) -> tuple[object, ...]:
    return one.device, one.resource, one.dtype, one.level, one.threads


def working_sets(caches: dict[str, int], threads: int, memory: int) -> dict[str, int]:
    """Returns the bytes each of `threads` reads so that they come from a level: half a private cache, a quarter of L3.

    A quarter, because L3 is shared and a virtual machine sees all of it while its neighbours fill it; but no less than
    twice the L2 it has to miss.
    """
    own: dict[str, int] = {level: caches[level] // 2 for level in ("L1", "L2") if level in caches}
    if "L3" in caches:
        own["L3"] = max(caches["L3"] // 4 // threads, 2 * caches.get("L2", 0))
    own["DRAM"] = memory // threads
    return {level: max(size // READ_GRAIN * READ_GRAIN, READ_GRAIN) for level, size in own.items()}


def buffer_bytes(cpu: Cpu, memory_bytes: int) -> int:
    """Returns how much must be read to be sure that it comes from DRAM, within an eighth of the machine's memory."""
    wanted = max(DRAM_BYTES, DRAM_CACHES * max(cpu.caches.values(), default=0))
    return min(wanted, memory_bytes // MEMORY_SHARE) >> 20 << 20


def _compute(meter: Meter, cpu: Cpu, seconds: float) -> Iterator[_Question]:
    for dtype in PEAK_TASKS:
        if meter.supports(dtype):
            for threads in _thread_counts(cpu):
                yield _Question(
                    resource=Resource.COMPUTE,
                    dtype=dtype,
                    threads=threads,
                    unit="flop/s",
                    method=meter.method(dtype),
                    ask=_peak(meter, dtype, threads, seconds),
                )


def _bandwidth(meter: Meter, cpu: Cpu, memory: int, seconds: float) -> Iterator[_Question]:
    for threads in _thread_counts(cpu):
        for level, size in working_sets(cpu.caches, threads, memory).items():
            yield _Question(
                resource=Resource.READ_BANDWIDTH,
                level=level,
                threads=threads,
                unit="byte/s",
                method=f"{meter.method(None)}, {size >> 10} KiB each",
                ask=_read(meter, threads, seconds, size),
            )


def _peak(meter: Meter, dtype: str, threads: int, seconds: float) -> Callable[[], float]:
    return lambda: meter.peak(dtype, threads, seconds)


def _read(meter: Meter, threads: int, seconds: float, size: int) -> Callable[[], float]:
    return lambda: meter.read(threads, seconds, size)


def _thread_counts(cpu: Cpu) -> tuple[int, ...]:
    return (1,) if len(cpu.cores) == 1 else (1, len(cpu.cores))


def _ceiling(question: _Question, repeats: list[_Repeat]) -> Ceiling:
    samples = tuple(one.value for one in repeats)
    return Ceiling(
        device="cpu",
        resource=question.resource,
        dtype=question.dtype,
        level=question.level,
        threads=question.threads,
        unit=question.unit,
        value=max(samples),
        samples=samples,
        probes=tuple(one.probe for one in repeats if one.probe is not None),
        method=f"{question.method}, best of {len(samples)}",
    )
