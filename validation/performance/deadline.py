"""Keeps the processes of one workload within their time, on a machine that strangers slow down."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: A baseline that takes so many times the average of all is what a process is late for. In a busy minute PyTorch one
#: token at a time, whose two threads meet a thousand times a call, took 1.4 s for 0.1 and two thirds of all time.
_COSTLY: Final = 3.0


@dataclass(slots=True, kw_only=True)
class Deadline:
    """`limit_s` seconds from now on for processes of which each is to take a share of it in proportion to its weight.

    `spent_s` is what each baseline took in all processes that count.
    """

    limit_s: float
    weights: Sequence[int]
    now: Callable[[], float] = time.monotonic
    spent_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _began_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Starts the clock."""
        self._began_s = self.now()

    def slack_s(self, done: int) -> float:
        """Returns how much longer than until now the process after `done` others may last; below 0 it is late."""
        return self.limit_s * (sum(self.weights[: done + 1]) / sum(self.weights)) - self._elapsed_s

    def holds(self, done: int, more: int) -> bool:
        """Whether `more` processes end in time, if they go on as `done` did."""
        so_far, then = sum(self.weights[:done]), sum(self.weights[: done + more])
        return self._elapsed_s * then <= self.limit_s * so_far

    @property
    def costly(self) -> frozenset[str]:
        """The baselines that take far more than their share: never the strongest, who takes the least."""
        most = _COSTLY * sum(self.spent_s.values()) / max(len(self.spent_s), 1)
        return frozenset(name for name, spent in self.spent_s.items() if spent > most)

    @property
    def _elapsed_s(self) -> float:
        return self.now() - self._began_s
