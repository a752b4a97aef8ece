"""Which options of a layer a kernel looks at, found out in a process in which nothing is judged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from validation.correctness.material import draw
from validation.implementations.failure import ImplementationFailed, WorkerEnded
from validation.implementations.limits import Limits
from validation.implementations.process import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.correctness.spec import CaseSpec
    from validation.implementations.implementation import Implementation
    from validation.implementations.mailbox import Doing

#: What a kernel looks at shows in its first layers; one that compiles itself anew for each is not waited for.
_MOST_S: Final = 15.0
_LIMITS: Final = Limits(seconds=30.0, memory_bytes=4 << 30)

#: After so many processes taken along, what was seen until then must do.
_MOST_DEATHS: Final = 3


def looked_at(
    implementation: Implementation, specs: Sequence[CaseSpec], threads: int, heard: list[Doing]
) -> frozenset[str]:
    """Returns the fields of Layer and LayerConfig that the kernel reads while it prepares and answers these cases.

    What it is reported to do is added to `heard`.
    Whatever it does is forgiven: a kernel that cannot run on a watched layer (torch.compile may refuse it) has looked
    at less, and is judged by its answers alone.
    """
    seen: frozenset[str] = frozenset()
    deaths, deadline = 0, time.monotonic() + _MOST_S
    remaining = list(specs)
    while remaining and deaths < _MOST_DEATHS and time.monotonic() < deadline:
        try:
            with Worker(
                threads=threads,
                environment=implementation.environment,
                limits=_LIMITS,
                device=implementation.home,
                heard=heard,
            ) as worker:
                worker.load(implementation)
                while remaining and time.monotonic() < deadline:
                    seen |= _one(worker, remaining.pop(0))
        except WorkerEnded:
            deaths += 1
        except ImplementationFailed:
            break
    return seen


def _one(worker: Worker, spec: CaseSpec) -> frozenset[str]:
    layer, x = draw(spec)
    try:
        worker.prepare(layer, watched=True)
        worker.call(x)
    except WorkerEnded:
        raise
    except ImplementationFailed:
        # A refusal comes after the look that led to it.
        pass
    return worker.looks()
