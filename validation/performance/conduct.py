"""What a candidate did in a timed process that no kernel needs, whether or not its clock ran meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validation.implementations.changed import changed
from validation.implementations.grave import grave

if TYPE_CHECKING:
    from collections.abc import Mapping

    from validation.performance.worker_like import WorkerLike

#: What comes after as many says nothing else.
_MOST: Final = 5


def changes(worker: WorkerLike, before: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the settings of its process that are no longer what they were `before` it was loaded.

    Raises:
        ImplementationFailed: the process did not answer.
    """
    return tuple(changed(before, worker.state())[:_MOST])


def reports(worker: WorkerLike) -> tuple[str, ...]:
    """Returns what was reported of a worker that has ended; compilers may run in any call, the first on so many tokens.

    What it left behind was found as it ended.
    """
    closed = ("closed the channel on which its doings are reported",) if worker.reports_closed else ()
    return (*grave(worker.doings, at_first=True)[:_MOST], *closed)
