"""Gate: `prepare` works; it does not wait."""

from typing import Final

from validation.correctness.case import Gate
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate

#: Idle time in prepare below this is the scheduler's or a disk's.
MOST_IDLE_NS: Final = 300_000_000

#: Beyond it, a prepare that used less than this share of its time was asleep: to let a processor cool or a quota fill.
LEAST_BUSY: Final = 0.1


def prepare_does_not_sleep(observation: Observation) -> Gate:
    """Fails when `prepare` took long and used no CPU, its children's included."""
    wall, busy = observation.prepare_wall_ns, observation.prepare_cpu_ns
    slept = wall - busy > MOST_IDLE_NS and busy < LEAST_BUSY * wall
    fault = f"prepare took {wall / 1e9:.3g} s and used {busy / 1e9:.3g} s of CPU" if slept else None
    return gate("prepare_does_not_sleep", observation, fault)
