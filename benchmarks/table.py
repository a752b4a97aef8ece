"""The table that `make bench` prints: each contender's time, its interval, its share of the floor, and the ratio."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from validation.performance.statistics import quantile_ranks
from validation.stages.observe import workload_record
from validation.verdicts.floors import Hardware, floor
from validation.workloads.registry import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from validation.cpu import Cpu
    from validation.performance.ceiling import Ceiling
    from validation.workloads.workload import Workload

KERNEL: Final = "mojo"
HEAD: Final = (
    "Median us of a call, 95 % interval of the median (order statistics), share of the floor (this run's ceilings),\n"
    "and how many times the kernel's time. Contenders are timed one after the other: `moe-validation run` judges."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A contender on a workload, and the seconds of each of its calls."""

    workload: Workload
    contender: str
    seconds: tuple[float, ...]

    @property
    def median_us(self) -> float:
        """The median call."""
        return statistics.median(self.seconds) * 1e6


def table(timed: Iterable[Timed], ceilings: tuple[Ceiling, ...], cpu: Cpu) -> str:
    """Returns the table, at most 100 columns wide; a group for each workload, the fastest contender first."""
    groups: dict[str, list[Timed]] = {}
    for one in timed:
        groups.setdefault(title(one.workload), []).append(one)
    return "\n".join((HEAD, *(line for name, group in groups.items() for line in _group(name, group, ceilings, cpu))))


def title(workload: Workload) -> str:
    """Returns the workload in words: its name where it has one, its dtype and its dimensions."""
    layer = workload.layer
    kind = f"{'gated ' * layer.gated}{layer.activation}"
    return (
        f"{workload.name if workload.name in WORKLOADS else 'shape'} {layer.dtype}: T {workload.tokens}, "
        f"d {layer.d_model}, f {layer.d_ff}, E {layer.n_experts}, k {layer.top_k}, {kind}"
    )


def _group(name: str, group: Sequence[Timed], ceilings: tuple[Ceiling, ...], cpu: Cpu) -> list[str]:
    least = floor(Hardware.of_cpu(ceilings, cpu.caches, len(cpu.cores)), workload_record(group[0].workload))
    told = "no ceiling is known" if least is None else f"{_us(least.ns / 1e3)} us by {least.bound_by}"
    kernel = next((one.median_us for one in group if one.contender == KERNEL), None)
    lines = ["", f"{name}; floor {told}"]
    for one in sorted(group, key=lambda one: one.median_us):
        share = "" if least is None else f"{least.ns / 1e3 / one.median_us:.0%}"
        ratio = "" if kernel is None else f"{one.median_us / kernel:.2f}x"
        lines.append(f"  {one.contender:30}{_us(one.median_us):>12}  {_interval(one.seconds):28}{share:>6}{ratio:>9}")
    return lines


def _interval(seconds: Sequence[float]) -> str:
    ranks = quantile_ranks(len(seconds), 0.5)
    if ranks is None:
        return "(too few calls)"
    ordered = sorted(seconds)
    return f"[{_us(ordered[ranks[0]] * 1e6)}, {_us(ordered[ranks[1]] * 1e6)}]"


def _us(value: float) -> str:
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004 -- three digits and one


def timed_of(benchmarks: Iterable[Any]) -> list[Timed]:
    """Returns what pytest-benchmark holds of this run, told apart by the objects that the tests left in `params`."""
    return [
        Timed(
            workload=one.params["workload"],
            contender=one.params["implementation"].name,
            seconds=tuple(one.stats.data),
        )
        for one in benchmarks
        if one.stats.data
    ]
