"""Measures the contenders of a shape by process pairs, as `moe-validation run` does, in fewer of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch

from benchmarks.shapes import contenders
from validation.implementations.menu import MOJO
from validation.performance.measure import Measurement, measure
from validation.performance.probe import Probe
from validation.performance.profile import Profile
from validation.performance.sample import ProbeRule, ProcessRun, Role, apply_rule, probe_rule
from validation.performance.statistics import accepted_calls
from validation.stages.ground import ground
from validation.stages.plan import SEED
from validation.verdicts.samples import Measured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from validation.workloads.workload import Workload

#: Six pairs give an interval of 2.6 standard errors by Student's t; 21 contests of a minute take half an hour.
BENCH: Final = Profile(name="bench", pairs=6, least_calls=5, budget_s=0.1, warm_s=0.03, retry=1.5, limit_s=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """All processes of one shape, blocks judged by the usual probe of them all; the first round is discarded."""

    workload: Workload
    processes: tuple[ProcessRun, ...]
    rule: ProbeRule | None

    def measured(self, contender: str, role: Role) -> Measured:
        """The accepted calls of a contender in its processes of one role, by round."""
        return Measured(
            calls={
                process.round: accepted_calls(series, self.rule)
                for process in self.processes
                if process.role is role and not process.discarded
                for series in process.series
                if series.implementation == contender
            }
        )

    def failures(self, contender: str) -> Iterator[str]:
        """What went wrong with a contender: wrong outputs of timed calls, and how its processes ended."""
        for process in self.processes:
            # A baseline's death is told as "name: cause", several one after the other; a name may begin another.
            causes = process.ended.split("; ")
            own = any(cause.startswith(f"{contender}: ") for cause in causes)
            if process.ended and (process.role is not Role.BASELINES if contender == MOJO.name else own):
                yield f"round {process.round}: {process.ended}"
            for series in process.series:
                wrong = sum(block.outputs_wrong for block in series.blocks)
                if series.implementation == contender and wrong:
                    yield f"round {process.round}: {wrong} outputs of timed calls are wrong"


def role_of(contender: str) -> Role:
    """Returns the role of the processes that a contender's figures come from."""
    return Role.CANDIDATE if contender == MOJO.name else Role.BASELINES


def contest(workload: Workload, library: Path) -> Contest:
    """Measures the kernel in `library` and every contender of the shape."""
    # This process checks outputs; its OpenMP threads would spin on beside the kernel's: 12 ms for 8.
    torch.set_num_threads(1)
    kernel, *others = contenders(workload)
    with ground(workload) as on, Probe() as probe:
        measurement = Measurement(
            bank=on.bank,
            layer=on.layer,
            candidate=replace(kernel, environment=(("MOE_KERNEL_LIBRARY", str(library)),)),
            baselines=tuple(others),
            profile=BENCH,
            threads=len(os.sched_getaffinity(0)),
            seed=SEED,
            probe=probe,
            check=on.check,
            limit_s=BENCH.limit_s,
        )
        processes = tuple(measure(measurement))
    rule = probe_rule(processes)
    judged = processes if rule is None else apply_rule(processes, rule)
    return Contest(workload=workload, processes=judged, rule=rule)
