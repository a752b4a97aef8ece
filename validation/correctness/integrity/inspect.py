"""Every gate, in the order in which a reader wants to hear of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validation.correctness.case import Gate, Outcome
from validation.correctness.integrity.clocks import clocks_agree
from validation.correctness.integrity.doings import keeps_to_itself
from validation.correctness.integrity.ending import answers_to_the_end
from validation.correctness.integrity.floor import above_the_floor
from validation.correctness.integrity.guards import guards_held
from validation.correctness.integrity.inputs import inputs_unchanged
from validation.correctness.integrity.late_work import nothing_after_return
from validation.correctness.integrity.memo import same_time_for_old_and_new
from validation.correctness.integrity.outputs import every_output_right
from validation.correctness.integrity.own_work import does_its_own_work
from validation.correctness.integrity.preparation import prepare_does_not_sleep
from validation.correctness.integrity.script import observe
from validation.correctness.integrity.settings import settings_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.correctness.integrity.observation import Observation
    from validation.implementations.implementation import Implementation
    from validation.implementations.limits import Limits
    from validation.workloads.workload import Workload

GATES: Final[tuple[Callable[[Observation], Gate], ...]] = (
    answers_to_the_end,
    every_output_right,
    same_time_for_old_and_new,
    does_its_own_work,
    clocks_agree,
    nothing_after_return,
    above_the_floor,
    inputs_unchanged,
    guards_held,
    settings_unchanged,
    keeps_to_itself,
    prepare_does_not_sleep,
)


#: Gates that judge by the clock. A host that takes cores away makes an honest kernel look suspicious for seconds: of
#: 11 gates this is what failed under two other test runs (6.8 ms against 12.4 ms on the same work).
BY_THE_CLOCK: Final = frozenset(
    {
        "same_time_for_old_and_new",
        "does_its_own_work",
        "clocks_agree",
        "nothing_after_return",
        "prepare_does_not_sleep",
    }
)

#: So often must a gate that judges by the clock fail, in a fresh process each time: a cheat does it every time.
CONVICTIONS: Final = 3

#: So often is one look had on a host too busy for the gate that is sought, or for any that judges by the clock.
_MOST_LOOKS: Final = 3

#: Where other programs took more of the cores than this, no clock convicts a kernel that somebody brings. Among six of
#: them on two cores three honest kernels failed such a gate in all three looks, in four runs of some 16, each another
#: way. One program takes about 0.5 of two cores, five and more 0.7; what looks tell between the two was not seen.
_MOST_OTHERS: Final = 0.6


def inspect(
    implementation: Implementation,
    workload: Workload,
    *,
    threads: int,
    limits: Limits | None = None,
    sought: str = "",
) -> tuple[Gate, ...]:
    """Returns the outcome of every gate for a kernel; it never raises for what the kernel does.

    A gate that judges by the clock is looked at again, in another process, before it fails; whatever any other gate
    sees in any of the processes stays. Where another gate fails nobody looks again: the kernel is rejected, and what
    the clock said of it once is told as mistrusted; but for a gate that is `sought`. (A time below the floor is no such
    failure: these gates say how it came about.) A look at which that gate could tell nothing is had again, three times;
    so is one by whose clocks a kernel would fail while other programs had most of the cores: then nothing is told.
    """
    found = _look(implementation, workload, threads, limits, sought)
    for looks in range(1, CONVICTIONS):
        suspected = {one.gate for one in found if one.outcome is Outcome.FAILED}
        if sought not in suspected & BY_THE_CLOCK and suspected - BY_THE_CLOCK - {above_the_floor.__name__}:
            return tuple(_suspected(one, looks) for one in found)
        if not suspected:
            break
        found = _both(found, _look(implementation, workload, threads, limits, sought))
    return found


def _suspected(found: Gate, looks: int) -> Gate:
    """A gate by the clock that failed in fewer looks than convict is mistrusted."""
    if found.outcome is not Outcome.FAILED or found.gate not in BY_THE_CLOCK:
        return found
    said = f"{found.message} (in {looks} of {CONVICTIONS} looks: another gate had failed)"
    return found.model_copy(update={"outcome": Outcome.MISTRUSTED, "message": said})


def _look(
    implementation: Implementation, workload: Workload, threads: int, limits: Limits | None, sought: str
) -> tuple[Gate, ...]:
    for _ in range(_MOST_LOOKS):
        observation = observe(implementation, workload, threads=threads, limits=limits)
        found = tuple(judge(observation) for judge in GATES)
        if not sought and observation.others_share > _MOST_OTHERS:
            excused = tuple(_excused(one, observation.others_share) for one in found)
            if excused == found:
                break
            found = excused
        elif not any(one.gate == sought and one.outcome is Outcome.MISTRUSTED for one in found):
            break
    return found


def _excused(found: Gate, others_share: float) -> Gate:
    """A gate by the clock that failed on a host too busy for clocks is mistrusted."""
    if found.outcome is not Outcome.FAILED or found.gate not in BY_THE_CLOCK:
        return found
    said = f"the host was too busy: other programs took {others_share:.0%} of the cores ({found.message})"
    return found.model_copy(update={"outcome": Outcome.MISTRUSTED, "message": said})


def _both(before: tuple[Gate, ...], now: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Gates by the clock fail when they failed both times, the others when they failed once."""
    return tuple(
        later if (earlier.outcome is Outcome.FAILED) is (earlier.gate in BY_THE_CLOCK) else earlier
        for earlier, later in zip(before, now, strict=True)
    )
