"""What is seen of a worker from outside, whatever it says of itself: its CPU time, its settings, whether it sleeps."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from validation.cpu import available_cores
from validation.implementations import kinship, spawn

if TYPE_CHECKING:
    from validation.implementations.spawn import Spawned

#: NVIDIA's by number (the driver's own files are opened by who counts GPUs), AMD's, and whatever renders.
_GPU: Final = re.compile(r"/dev/(nvidia\d+|kfd|dri/\w+)")

#: A process that used less CPU time than this in 6 ms sleeps.
_ASLEEP_NS: Final = 1_000_000


def cpu_ns(pid: int) -> int:
    """Returns the CPU time of all threads of a process so far; what a dead process used is 0."""
    with suppress(OSError):
        return spawn.cpu_ns(pid)
    return 0


def family_cpu_ns(spawned: Spawned) -> int:
    """Returns the CPU time of a worker and of its descendants, those that are gone included, by the tick."""
    pid = spawned.process.pid
    return sum(map(cpu_ns, kinship.family(spawned.mark, pid))) + spawn.reaped_cpu_ns(pid)


def settings(pid: int) -> dict[str, str]:
    """Returns settings of a process that a kernel has no business changing, each as text."""
    return {
        "cpu affinity": str(sorted(os.sched_getaffinity(pid))),
        "priority": str(os.getpriority(os.PRIO_PROCESS, pid)),
        "scheduling": str(os.sched_getscheduler(pid)),
    }


def at_start() -> dict[str, str]:
    """Returns `settings` of a worker that nobody has changed: this process's, on the cores that it began on."""
    return settings(os.getpid()) | {"cpu affinity": str(sorted(available_cores()))}


def open_gpus(pid: int) -> str:
    """Returns the device files of GPUs that a process has open, or none: drivers keep them open while they compute."""
    found: set[str] = set()
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        # Another user's, or gone; one that hides them from us after it was loaded is told by that.
        return "nobody may look"
    for descriptor in descriptors:
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return ", ".join(sorted(name for name in found if _GPU.fullmatch(name))) or "none"


def suites_settings(forker: int) -> dict[str, str]:
    """Returns such settings of this process, and of `forker`, who forks workers: baselines may inherit them."""
    named = {"the suite's": os.getpid(), "the forking process's": forker}
    found: dict[str, str] = {}
    for whose, pid in named.items():
        # Gone: killed by somebody, who is told of elsewhere.
        with suppress(OSError):
            found |= {f"{whose} {name}": value for name, value in settings(pid).items()}
    return found


def settle(pid: int, most_s: float) -> None:
    """Returns once the threads of a process and of this one sleep, or after `most_s`.

    OpenMP's and BLAS's threads spin for some ms after a call. The kernel books their time by the tick (4 ms at
    250 Hz), so 6 ms in which next to nothing was booked are sleep.
    """
    deadline = time.monotonic() + most_s
    before = cpu_ns(pid) + time.process_time_ns()
    while time.monotonic() < deadline:
        time.sleep(0.006)
        now = cpu_ns(pid) + time.process_time_ns()
        if now - before < _ASLEEP_NS:
            return
        before = now
