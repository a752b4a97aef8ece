"""What it costs to call a kernel at all: an empty call's share of a call that does something."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from validation.performance.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.performance.gauge import Gauge
    from validation.performance.worker_like import WorkerLike
    from validation.workloads.inputs import TokenBank
    from validation.workloads.workload import Workload

OVERHEAD_SHARE: Final = "call-overhead-share"

#: Empty and full blocks in turn, so that a change of the machine's speed falls on both.
_ROUNDS: Final = 4
_CALLS: Final = 64
#: Attempts at a process's value in which the machine ran at full speed throughout.
_ATTEMPTS: Final = 3


def measure_overhead_share(bank: TokenBank, key: Sequence[int | str], worker: WorkerLike, gauge: Gauge) -> float | None:
    """Returns the median time of a call without tokens over that of a call of the workload, by the worker's clock.

    The kernel is prepared in `worker`. None when the machine was never at full speed from beginning to end.

    Raises:
        ImplementationFailed: the kernel failed, or does not take calls without tokens.
    """
    drawn = 0
    for _ in range(_ATTEMPTS):
        worker.settle()
        gauge.await_full_speed()
        empty_ns: list[int] = []
        full_ns: list[int] = []
        for _ in range(_ROUNDS):
            full = [bank.gather(bank.rows(*key, "overhead", call=drawn + call)) for call in range(_CALLS)]
            drawn += _CALLS
            full_ns += worker.call_block(full).calls_ns
            empty_ns += worker.call_block([x[:0] for x in full]).calls_ns
        worker.settle()
        if gauge.rule.holds(gauge.read()):
            return statistics.median(empty_ns) / statistics.median(full_ns)
    return None


def overhead_figure(workload: Workload, implementation: str, samples: tuple[float, ...]) -> Figure:
    """Returns the figure of one sample a process."""
    return Figure(
        name=OVERHEAD_SHARE,
        implementation=implementation,
        workload=workload.name,
        dtype=workload.layer.dtype,
        samples=samples,
        method=f"median of {_ROUNDS * _CALLS} calls without tokens over the median of as many with {workload.tokens}, "
        "in turn, per process",
    )
