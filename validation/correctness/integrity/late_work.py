"""Gate: when a call returns, its work is done."""

from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate

#: CPU time over time watched. A sleeping process uses none: 0.00000 in ten looks at four honest kernels beside a run of
#: all tests. A thread that has 40 us every 2 ms, enough to slow a speed probe, uses 0.02.
MOST_SHARE: Final = 0.01


def nothing_after_return(observation: Observation) -> Gate:
    """Fails when outputs still changed, or the process still worked, after its threads had had time to sleep."""
    faults = []
    if observation.late_change:
        faults.append("an output changed after its call had returned")
    if observation.watched_ns and observation.late_ns > MOST_SHARE * observation.watched_ns:
        used, watched = observation.late_ns / 1e6, observation.watched_ns / 1e6
        faults.append(f"used {used:.3g} ms of CPU in {watched:.3g} ms without a call to answer")
    return gate("nothing_after_return", observation, "; ".join(faults) or None)
