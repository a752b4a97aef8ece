"""How large a call may be for the gates to end in reasonable time: pure Python needs 40 s for the published shape."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from validation.implementations.failure import ImplementationFailed
from validation.implementations.process import Worker
from validation.stages.subject import LIMITS
from validation.workloads.inputs import TokenBank, make_layer

if TYPE_CHECKING:
    from validation.implementations.mailbox import Doing
    from validation.stages.subject import Subject
    from validation.workloads.workload import Workload

#: Tokens of a call for a slow kernel, and of the calls by which it is found to be slow.
_FEW: Final = 4
_PILOT: Final = 16

#: The gates make some 130 calls, and eight of them have 60 s together: a kernel as slow as this takes a minute in all,
#: and a busy machine may make its calls fifteen times as long. At 3 s an honest one was ended at that limit.
_SLOWEST_S: Final = 0.5

_CALLS: Final = 3

#: Calls on all tokens by which a kernel is found to be slow, and the time after which no more of them are made. A timed
#: process makes a first call, one at least to warm up and, of a slow kernel, five (three in smoke): who is slow for so
#: many is slow when timed. One that was slow for three calls was looked at on few tokens, and remembered the others.
_ALL_CALLS: Final = 5
_ALL_S: Final = 10.0


def fitting(subject: Subject, workload: Workload, heard: list[Doing]) -> Workload:
    """Returns the workload, or the same with a few tokens where the kernel takes long for it.

    A kernel that is slow on the pilot's few tokens must be slow on all of them too, in the fastest of as many calls as
    a timed process makes, so that none hides behind it. One that fails is left to the gates. What the kernel is
    reported to do is added to `heard`.
    """
    try:
        if _seconds(subject, replace(workload, tokens=_PILOT), _CALLS, heard) * workload.tokens / _PILOT <= _SLOWEST_S:
            return workload
        if _seconds(subject, workload, _ALL_CALLS, heard, enough_s=_SLOWEST_S) <= _SLOWEST_S:
            return workload
    except ImplementationFailed as failure:
        if "time limit" not in failure.cause:
            return workload
    return replace(workload, tokens=_FEW)


def _seconds(subject: Subject, workload: Workload, calls: int, heard: list[Doing], *, enough_s: float = 0.0) -> float:
    """The fastest of some calls, by this process's clock; of the first alone where that took all the time there is.

    One that takes no more than `enough_s` is the last.
    """
    implementation, bank = subject.implementation, TokenBank.draw(workload)
    with Worker(
        threads=subject.threads,
        environment=implementation.environment,
        limits=LIMITS,
        device=implementation.home,
        heard=heard,
    ) as worker:
        worker.load(implementation)
        worker.prepare(make_layer(workload.layer, workload.seed))
        taken: list[float] = []
        while len(taken) < calls and sum(taken) < _ALL_S and min(taken, default=math.inf) > enough_s:
            x = bank.gather(bank.rows("pace", call=len(taken)))
            started = time.perf_counter()
            worker.call(x)
            taken.append(time.perf_counter() - started)
    return min(taken)
