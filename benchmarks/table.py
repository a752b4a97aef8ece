"""The table that `make bench` prints: each contender's time, its interval, its share of the floor, and the ratio."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Final

from benchmarks.contests import role_of
from validation.implementations.menu import MOJO
from validation.performance.sample import Role
from validation.performance.statistics import CONFIDENCE, Estimate
from validation.stages.observe import workload_record
from validation.verdicts.floors import usual_floor
from validation.workloads.registry import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.contests import Contest
    from validation.verdicts.floors import Hardware
    from validation.workloads.workload import Workload

HEAD: Final = (
    "Time of a call in us with its 95 % interval, the number of processes it rests on, its share of the\n"
    "floor (this run's usual ceilings), and how many times the kernel's time, by pairs of processes."
)
#: Two processes give an interval of 13 standard errors, which says nothing: so many have to count.
LEAST: Final = 3
#: The others, of whose calls the speed probe rejected most.
TOO_FEW: Final = f"fewer than {LEAST} processes have calls that count"


def table(contests: Iterable[Contest], hardware: Hardware) -> str:
    """Returns the table, at most 100 columns wide; a group for each workload, the fastest contender first."""
    return "\n".join((HEAD, *(line for one in contests for line in _group(one, hardware))))


def title(workload: Workload) -> str:
    """Returns the workload in words: its name where it has one, its dtype and its dimensions."""
    layer = workload.layer
    kind = f"{'gated ' * layer.gated}{layer.activation}"
    return (
        f"{workload.name if workload.name in WORKLOADS else 'shape'} {layer.dtype}: T {workload.tokens}, "
        f"d {layer.d_model}, f {layer.d_ff}, E {layer.n_experts}, k {layer.top_k}, {kind}"
    )


def names(contest: Contest) -> Sequence[str]:
    """Returns every contender of a contest once, in the order of the first round."""
    return tuple(dict.fromkeys(one.implementation for run in contest.processes for one in run.series))


def _group(contest: Contest, hardware: Hardware) -> list[str]:
    least = usual_floor(hardware, workload_record(contest.workload))
    told = "no ceiling is known" if least is None else f"floor {_us(least.ns)} by {least.bound_by}"
    kernel = contest.measured(MOJO.name, Role.CANDIDATE)
    null = contest.measured(MOJO.name, Role.CANDIDATE_AGAIN).over(kernel, CONFIDENCE)
    told += "" if null is None or null.count < LEAST else f"; the kernel beside itself {_times(null)}"
    rows: list[tuple[float, str]] = []
    few = []
    for name in names(contest):
        calls = contest.measured(name, role_of(name))
        time = calls.level(CONFIDENCE)
        if time is None or time.count < LEAST:
            few.append(name)
            continue
        share = "" if least is None else f"{least.ns / time.value:.0%}"
        ratio = None if name == MOJO.name else calls.over(kernel, CONFIDENCE)
        interval = f"[{_us(time.low)}, {_us(time.high)}]"
        times = "" if ratio is None or ratio.count < LEAST else _times(ratio)
        line = f"  {name:28}{_us(time.value):>10} {interval:21}{time.count:>3}{share:>6}  {times}"
        rows.append((time.value, line.rstrip()))
    others = wrap(f"{TOO_FEW}: {', '.join(sorted(few))}", 96) if few else []
    return [
        "",
        title(contest.workload),
        f"  {told}",
        *(line for _ns, line in sorted(rows)),
        *(f"  {one}" for one in others),
    ]


def _times(ratio: Estimate) -> str:
    return f"{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def _us(ns: float) -> str:
    us = ns / 1e3
    return f"{us:,.1f}" if us < 1000 else f"{us:,.0f}"  # noqa: PLR2004 -- three digits and one
