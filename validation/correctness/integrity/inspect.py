"""Every gate, in the order in which a reader wants to hear of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validation.correctness.integrity.clocks import clocks_agree
from validation.correctness.integrity.doings import keeps_to_itself
from validation.correctness.integrity.ending import answers_to_the_end
from validation.correctness.integrity.floor import above_the_floor
from validation.correctness.integrity.guards import guards_held
from validation.correctness.integrity.inputs import inputs_unchanged
from validation.correctness.integrity.late_work import nothing_after_return
from validation.correctness.integrity.memo import same_time_for_old_and_new
from validation.correctness.integrity.outputs import every_output_right
from validation.correctness.integrity.preparation import prepare_does_not_sleep
from validation.correctness.integrity.script import observe
from validation.correctness.integrity.settings import settings_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.correctness.case import Gate
    from validation.correctness.integrity.observation import Observation
    from validation.implementations.implementation import Implementation
    from validation.implementations.process import Limits
    from validation.workloads.workload import Workload

GATES: Final[tuple[Callable[[Observation], Gate], ...]] = (
    answers_to_the_end,
    every_output_right,
    same_time_for_old_and_new,
    clocks_agree,
    nothing_after_return,
    above_the_floor,
    inputs_unchanged,
    guards_held,
    settings_unchanged,
    keeps_to_itself,
    prepare_does_not_sleep,
)


def inspect(
    implementation: Implementation,
    workload: Workload,
    *,
    threads: int,
    floor_ns: float | None = None,
    limits: Limits | None = None,
) -> tuple[Gate, ...]:
    """Returns the outcome of every gate for a kernel; it never raises for what the kernel does.

    `floor_ns` is the least time a call of `workload` can take here, from measured ceilings.
    """
    observation = observe(implementation, workload, threads=threads, floor_ns=floor_ns, limits=limits)
    return tuple(judge(observation) for judge in GATES)
