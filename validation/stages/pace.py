"""How large a call may be for the gates to end in reasonable time: pure Python needs 40 s for the published shape."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from validation.implementations.failure import ImplementationFailed
from validation.implementations.process import Worker
from validation.stages.subject import LIMITS
from validation.workloads.inputs import TokenBank, make_layer

if TYPE_CHECKING:
    from validation.stages.subject import Subject
    from validation.workloads.workload import Workload

#: Tokens of a call for a slow kernel, and of the calls by which it is found to be slow.
_FEW: Final = 4
_PILOT: Final = 16

#: The gates make some 130 calls, and eight of them have 60 s together: a kernel as slow as this takes a minute in all,
#: and a busy machine may make its calls fifteen times as long. At 3 s an honest one was ended at that limit.
_SLOWEST_S: Final = 0.5

_CALLS: Final = 3


def fitting(subject: Subject, workload: Workload) -> Workload:
    """Returns the workload, or the same with a few tokens where the kernel takes long for it.

    A kernel that is slow on the pilot's few tokens must be slow on all of them too, so that none hides behind it. One
    that fails is left to the gates.
    """
    try:
        if _seconds(subject, replace(workload, tokens=_PILOT)) * workload.tokens / _PILOT <= _SLOWEST_S:
            return workload
        if _seconds(subject, workload, calls=1) <= _SLOWEST_S:
            return workload
    except ImplementationFailed as failure:
        if "time limit" not in failure.cause:
            return workload
    return replace(workload, tokens=_FEW)


def _seconds(subject: Subject, workload: Workload, *, calls: int = _CALLS) -> float:
    """The fastest of some calls, by this process's clock."""
    implementation, bank = subject.implementation, TokenBank.draw(workload)
    inputs = [bank.gather(bank.rows("pace", call=call)) for call in range(calls)]
    with Worker(
        threads=subject.threads,
        environment=implementation.environment,
        limits=LIMITS,
        device=implementation.home,
    ) as worker:
        worker.load(implementation)
        worker.prepare(make_layer(workload.layer, workload.seed))
        taken = []
        for x in inputs:
            started = time.perf_counter()
            worker.call(x)
            taken.append(time.perf_counter() - started)
    return min(taken)
