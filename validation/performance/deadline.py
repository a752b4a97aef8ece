"""Keeps the processes of one workload within their time, on a machine that strangers slow down."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(slots=True, kw_only=True)
class Deadline:
    """`limit_s` seconds from now on for processes of which each is to take a share of it in proportion to its weight.

    `costs_s` is what each baseline took in each process that counts. Of the time so far `waited_s` went into waiting
    and repeating, which a process without time to spare goes without; `elsewhere_s` is not of these processes at all.
    """

    limit_s: float
    weights: Sequence[int]
    now: Callable[[], float] = time.monotonic
    costs_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    waited_s: float = 0.0
    elsewhere_s: float = 0.0
    _began_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Starts the clock."""
        self._began_s = self.now()

    def slack_s(self, done: int) -> float:
        """Returns how much longer than until now the process after `done` others may last; below 0 it is late."""
        return self.limit_s * (sum(self.weights[: done + 1]) / sum(self.weights)) - self._elapsed_s

    def patience_s(self, done: int) -> float:
        """Returns how much of its slack the process after `done` others may wait; the rest it works, if like those."""
        return max(self.slack_s(done) - self._work_s(done, done + 1), 0.0)

    def overrun_s(self, done: int, until: int) -> float:
        """Returns by how much `until` processes end too late, if they work like `done`; below 0 they are in time."""
        return self._elapsed_s + self._work_s(done, until) - self.limit_s

    def sits_out(self, done: int, until: int, left: Mapping[str, int]) -> frozenset[str]:
        """Returns the costliest baselines, as many as must sit out for `until` processes to end in time after `done`.

        `left` is how often each baseline is still to come in them. Only those that take more than the average of all
        sit out, so never the strongest, who takes the least; nobody does while the next process is not late.
        """
        if not self.costs_s or self.slack_s(done) > 0:
            return frozenset()
        means_s = {name: sum(costs) / len(costs) for name, costs in self.costs_s.items()}
        average_s = sum(means_s.values()) / len(means_s)
        out, overrun_s = set[str](), self.overrun_s(done, until)
        for name, mean_s in sorted(means_s.items(), key=lambda one: one[1], reverse=True):
            if overrun_s <= 0 or mean_s <= average_s:
                break
            out.add(name)
            overrun_s -= mean_s * left.get(name, 0)
        return frozenset(out)

    def _work_s(self, done: int, until: int) -> float:
        """What the processes from `done` until `until` take without waiting: nothing is known before the first."""
        so_far = sum(self.weights[:done])
        return (self._elapsed_s - self.waited_s) * sum(self.weights[done:until]) / so_far if so_far else 0.0

    @property
    def _elapsed_s(self) -> float:
        return self.now() - self._began_s - self.elsewhere_s
