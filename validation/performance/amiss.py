"""What a worker did while it was timed, or beside it, so that its calls do not count: seen from outside alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from validation.performance.sample import CLOCK_DISAGREES, CORES_EXCEEDED, WORKER_RAN

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.implementations.answer import BlockOutput
    from validation.performance.series import Subject
    from validation.performance.worker_like import WorkerLike

_R = TypeVar("_R")

#: CPU time of a worker beside two probes of 2 ms. A settled one uses none: beside 275 of 280 of seven kernels' probes.
_MOST_RUN_NS: Final = 50_000

#: A block may use this many times the cores it was given, as a kernel may that is looked at, and this much more. An
#: honest one cannot use more than there are; of 308 blocks on one busy core none used more than 0.87 of it.
_MOST_CORES: Final = 1.1
_CORES_SLACK_NS: Final = 1_000_000


def beside(worker: WorkerLike, read: Callable[[], _R]) -> tuple[_R, bool]:
    """Returns what was read, and whether the worker ran meanwhile.

    What a kernel does while the machine's speed is read makes its calls count as those of a slower machine.
    """
    used_ns = -worker.cpu_ns()
    found = read()
    return found, used_ns + worker.cpu_ns() > _MOST_RUN_NS


def seen_amiss(subject: Subject, made: BlockOutput, *, agrees: bool, ran: bool) -> str:
    """Returns why calls do not count whatever the probes read, or nothing.

    `agrees` says whether the clocks do, `ran` whether the worker ran beside a probe. On a GPU neither that nor the
    host's cores are asked for: a call's time does not hang on them.
    """
    on_cpu = subject.bank.workload.layer.device != "cuda"
    # First, because no clock of the worker's has a say in it.
    if on_cpu and _exceeds_cores(made, subject.threads):
        return CORES_EXCEEDED
    if not agrees:
        return CLOCK_DISAGREES
    return WORKER_RAN if on_cpu and ran else ""


def others_share(subject: Subject, made: BlockOutput) -> float | None:
    """Returns the share of the cores that other processes took; a GPU's time does not hang on the host's cores."""
    return None if subject.bank.workload.layer.device == "cuda" else made.others_share


def _exceeds_cores(made: BlockOutput, threads: int) -> bool:
    """Whether the worker used more CPU time than so many cores have while the parent waited for its answer."""
    return made.cpu_ns > _MOST_CORES * threads * made.parent_ns + _CORES_SLACK_NS
