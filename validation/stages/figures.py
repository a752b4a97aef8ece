"""Figures that a run records at its end: energy per call where a counter can be read, and how long it all took."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from validation.implementations.failure import ImplementationFailed
from validation.implementations.process import Worker
from validation.implementations.shared_layer import SharedLayer
from validation.performance.energy import ENERGY, SECONDS, EnergyCounter, find_counter, measure_energy
from validation.performance.figure import Figure
from validation.stages.console import step
from validation.stages.pure_python import observe_pure_python
from validation.workloads.inputs import TokenBank, make_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from validation.claims.claim import Reading
    from validation.implementations.implementation import Implementation
    from validation.stages.contest import Contest
    from validation.stages.observe import Journal
    from validation.stages.plan import RunPlan

#: Rounds of energy, each of a second per contender; a verdict needs five.
_ENERGY_ROUNDS: Final = 6
_INPUTS: Final = 4
#: Times of whole commands that claims name, and which command records them.
_RECORDED_BY: Final = {
    "standard-run-s": "only `moe-validation run --profile standard`, not resumed, records it",
    "demo-s": "only `moe-validation demo` records it; judge its evidence beside this",
}


def observe_figures(plan: RunPlan, journal: Journal, console: Console) -> None:
    """Adds the figures of the run as a whole; the time comes last, when all is measured."""
    observe_energy(plan, journal, console)
    observe_pure_python(plan, journal, console)
    missing = tuple(f"figure {name}: {how}" for name, how in _RECORDED_BY.items() if name != plan.timed_as)
    journal.add(left_out=(*journal.evidence.left_out, *missing))
    if plan.timed_as:
        journal.add(figures=(*journal.evidence.figures, duration(plan.timed_as)))


def observe_energy(plan: RunPlan, journal: Journal, console: Console) -> None:
    """Adds the energy per call of the candidate and of the baselines that readings name, or says why there is none."""
    if plan.device != "cpu":
        return  # a GPU's energy is read in its own processes
    contests = [(contest, named) for contest in plan.contests if (named := _named(plan, contest))]
    if not contests or any(one.name == ENERGY for one in journal.evidence.figures):
        return
    counter = find_counter()
    if isinstance(counter, str):
        journal.add(left_out=(*journal.evidence.left_out, f"figure {ENERGY}: {counter}"))
        return
    for contest, named in contests:
        with step(console, f"{contest.workload.name}: energy", _ENERGY_ROUNDS) as shown:
            samples: dict[str, list[float]] = {one.name: [] for one in named}
            for number in range(_ENERGY_ROUNDS):
                for one in named if number % 2 else named[::-1]:
                    samples[one.name].append(_joules(one, contest, plan, counter, number))
                shown.advance()
        found = (_energy_figure(name, contest, tuple(taken)) for name, taken in samples.items() if all(taken))
        journal.add(figures=(*journal.evidence.figures, *found))


def duration(name: str, *, now_s: float | None = None) -> Figure:
    """Returns how long this process has been running, start-up and builds included."""
    return Figure(
        name=name,
        samples=(process_age_s() if now_s is None else now_s,),
        exact=True,
        method="from the start of the command until all was measured; judging it and writing the report come after",
    )


def process_age_s(proc: Path = Path("/proc")) -> float:
    """Returns the age of this process by the system's clock; 22nd field of its stat, in ticks since boot."""
    ticks = int((proc / "self" / "stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _joules(one: Implementation, contest: Contest, plan: RunPlan, counter: EnergyCounter, number: int) -> float:
    """Joules per call in a process of its own; 0 where it failed, which is said elsewhere."""
    bank = TokenBank.draw(contest.workload)
    inputs = [bank.gather(bank.rows("energy", one.name, number, call=call)) for call in range(_INPUTS)]
    layer = make_layer(contest.workload.layer, contest.workload.seed)
    worker = Worker(threads=plan.threads, trusted=one.trusted, environment=one.environment)
    with worker, SharedLayer.of(layer) as shared:
        try:
            return measure_energy(worker, one, shared, inputs, counter)
        except ImplementationFailed:
            return 0.0


def _named(plan: RunPlan, contest: Contest) -> tuple[Implementation, ...]:
    """The candidate and the baselines whose energy a testable reading compares on the workload."""
    names = {
        reading.baseline
        for reading in _readings(plan)
        if (reading.figure, reading.workload, reading.dtype)
        == (ENERGY, contest.workload.name, contest.workload.layer.dtype)
    }
    baselines = tuple(one for one in contest.baselines if one.name in names)
    return (plan.candidate, *baselines) if names else ()


def _readings(plan: RunPlan) -> Iterator[Reading]:
    return (
        reading
        for source in plan.claims
        for claim in source.file.claims
        for reading in claim.readings
        if reading.untestable is None and reading.device == plan.device
    )


def _energy_figure(name: str, contest: Contest, samples: tuple[float, ...]) -> Figure:
    return Figure(
        name=ENERGY,
        implementation=name,
        workload=contest.workload.name,
        dtype=contest.workload.layer.dtype,
        samples=samples,
        method=f"package energy of {SECONDS:g} s of calls over their number, one process each, in turn",
    )
