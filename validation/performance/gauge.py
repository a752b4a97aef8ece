"""What reads the speed of the device beside the blocks of calls, and waits for it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from validation.performance.sample import ProbeRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.performance.gpu_state import GpuState

#: A block does not begin while the machine is slow: a pause is long against a stolen time slice, some ms.
_PAUSE_S: Final = 0.02

#: Pauses before a measurement: a fifth of a second in all, so that a machine that stays slow is measured as it is (and
#: rejected). Of 114 blocks that were waited for longer, in a busy hour of a shared host, 26 were accepted.
MOST_WAITS: Final = 10


@dataclass(slots=True, kw_only=True)
class Gauge:
    """The speed probe of `device` and what it read beside the blocks of this workload.

    `before` is the usual speed of workloads before it, 0 where there are none.

    `spent_s` is the time that went into waiting for full speed and into repeating blocks so far, of `patience_s` that
    may go into it by now.
    """

    probe: Callable[[], float]
    device: str = "cpu"
    before: float = 0.0
    readings: list[float] = field(default_factory=list)
    spent_s: float = 0.0
    patience_s: float = math.inf
    state: Callable[[], GpuState | None] = lambda: None
    energy_j: Callable[[], float | None] = lambda: None

    def read(self) -> float:
        """Returns the speed of all cores now, FLOP/s."""
        speed = self.probe()
        self.readings.append(speed)
        return speed

    @property
    def patient(self) -> bool:
        """Whether more time may go into waiting and repeating."""
        return self.spent_s < self.patience_s

    def await_full_speed(self, most_waits: int = MOST_WAITS) -> tuple[float, int]:
        """Returns the speed, and how many slow probes were waited out before it.

        After `most_waits`, or without patience, it may be slow.
        """
        speed, waits, started = self.probe(), 0, time.monotonic()
        most_waits = most_waits if self.patient else 0
        while waits < most_waits and not self.rule.holds(speed):
            time.sleep(_PAUSE_S)
            speed, waits = self.probe(), waits + 1
        self.spent_s += time.monotonic() - started
        self.readings.append(speed)
        return speed, waits

    @property
    def rule(self) -> ProbeRule:
        """The acceptance rule with the usual probe so far."""
        return ProbeRule.on(self.device, self.before) if self.before else ProbeRule.of(self.device, self.readings)
