"""What other processes do on this machine while a kernel is timed.

The speed probe does not see them: the scheduler favours a thread that slept, so 2 ms of multiply-adds run at full speed
beside a compiler that takes half of every core. Beside two such compilers the probe stayed above 93 % of its best while
the kernel took 14 to 21 ms for 6.7.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from validation.cpu import available_cores
from validation.implementations.spawn import cpu_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

#: Of a core: less than this is no burden, whoever's it is.
_MUCH: Final = 0.01

#: Of all cores.
_MUCH_TOGETHER: Final = 0.1


class Neighbours:
    """A look at every process but one's own, and later the CPU time they took since; 0.3 ms a look, 80 processes.

    Processes that end in between take theirs along, and those of other machines on the same host are not seen.
    """

    def __init__(
        self, own: Collection[int], kin: Callable[[Collection[int]], Mapping[int, bool]] | None = None
    ) -> None:
        """Looks. `own` are the process ids that do not count.

        Nor do those that `kin` keeps of others which took much: a kernel that starts a few that burn a core made its
        host look too busy for any clock to convict it. Those mapped to true are the kernel's own, and told apart.
        """
        self._own, self._kin = frozenset(own), kin
        self._before = self._look()
        self._at_ns = time.perf_counter_ns()

    def taken(self) -> tuple[float, float]:
        """Returns the CPU time the others took since, over the time of all cores this process may use; kin's in cores.

        Of a process that may use other cores too, as much counts as it takes of ours where it uses all alike.
        """
        ours = frozenset(available_cores())
        elapsed_ns = time.perf_counter_ns() - self._at_ns
        used_ns = {pid: ns - self._before.get(pid, 0) for pid, ns in self._look().items()}
        # To tell who a process is takes 20 us: many that take little each are asked only where it is much together.
        least_ns = 0 if sum(used_ns.values()) > _MUCH_TOGETHER * elapsed_ns * len(ours) else _MUCH * elapsed_ns
        kin = self._kin([pid for pid, ns in used_ns.items() if ns > least_ns]) if self._kin is not None else {}
        taken_ns = sum(ns * _on(ours, pid) for pid, ns in used_ns.items() if ns > 0 and pid not in kin)
        return taken_ns / (elapsed_ns * len(ours)), sum(used_ns[pid] for pid, own in kin.items() if own) / elapsed_ns

    def _look(self) -> dict[int, int]:
        seen = {}
        for path in Path("/proc").iterdir():
            if path.name.isdecimal() and (pid := int(path.name)) not in self._own:
                with suppress(OSError):
                    seen[pid] = cpu_ns(pid)
        return seen


def _on(ours: frozenset[int], pid: int) -> float:
    """The share of its cores that are ours, of that thread of a process of which it is the largest."""
    shares = []
    # Of one that has ended since nobody can tell where it was, and all of it counts; of one that ends meanwhile what
    # was seen of its threads decides.
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            theirs = os.sched_getaffinity(int(thread.name))
            shares.append(len(theirs & ours) / len(theirs))
    return max(shares, default=1.0)
