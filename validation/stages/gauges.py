"""What reads the speed of the device under test, and what follows from the calls made beside the timed ones."""

from __future__ import annotations

import statistics
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from validation.performance.figure import Figure
from validation.performance.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from validation.performance.gpu_state import GpuState
    from validation.performance.sample import ProcessRun, Series

ENERGY: Final = "energy-per-call-j"
COLD: Final = "cold-call-us"
SUSTAINED: Final = "sustained-call-us"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """The speed probe of a device, and of a GPU its state and its energy counter."""

    probe: Callable[[], float]
    gpu_state: Callable[[], GpuState | None] = lambda: None
    energy_j: Callable[[], float | None] = lambda: None


@contextmanager
def gauges_of(device: str) -> Iterator[Gauges]:
    """Opens the gauges of `device`."""
    if device == "cpu":
        with Probe() as probe:
            yield Gauges(probe=probe)
    else:
        from validation.performance.cuda_probe import CudaProbe  # noqa: PLC0415 -- torch's GPU part, only on one

        gpu = CudaProbe()
        yield Gauges(probe=gpu, gpu_state=gpu.state, energy_j=gpu.energy_j)


def gpu_figures(processes: Iterable[ProcessRun]) -> tuple[Figure, ...]:
    """Returns cold times and energy per call of all that were measured on a GPU, a sample per process."""
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for process in processes:
        if process.discarded or process.role == "candidate_again":
            continue
        for series in process.series:
            for name, sample in _samples(series):
                found.setdefault((name, series.implementation, series.workload, series.dtype), []).append(sample)
    methods = {
        COLD: "median of a process's calls on a GPU whose L2 had been overwritten before each, between events",
        SUSTAINED: "time of calls without a pause over their number, by the parent's clock",
        ENERGY: "the GPU's energy counter around calls without a pause, over their number; the whole board's energy",
    }
    return tuple(
        Figure(
            name=name,
            device="cuda",
            dtype=dtype,
            implementation=implementation,
            workload=workload,
            samples=tuple(samples),
            method=methods[name],
        )
        for (name, implementation, workload, dtype), samples in found.items()
    )


def _samples(series: Series) -> Iterator[tuple[str, float]]:
    if series.cold_ns:
        yield COLD, statistics.median(series.cold_ns) / 1e3
    made = series.sustained
    if made is not None:
        yield SUSTAINED, made.parent_ns / made.calls / 1e3
    if made is not None and made.energy_j:
        yield ENERGY, made.energy_j / made.calls
