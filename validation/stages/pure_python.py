"""Pure Python at few tokens, for the cross-language page: at the published shape one call takes most of a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validation.implementations.failure import ImplementationFailed
from validation.implementations.menu import BASELINES
from validation.implementations.process import Worker
from validation.performance.figure import Figure
from validation.performance.gauge import Gauge
from validation.performance.probe import Probe
from validation.stages.console import step
from validation.stages.ground import ground
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from rich.console import Console

    from validation.stages.observe import Journal
    from validation.stages.plan import RunPlan

#: Shown on the cross-language page, extrapolated and called so; no claim is decided by it.
PURE_PYTHON: Final = "call-s"
_NAME: Final = "python_lists"
#: The published layer at one token: 40 ms a call.
_WORKLOAD: Final = "seed-claim-t1"
_LIKE: Final = "seed-claim"
_CALLS: Final = 8
_MOST_WAITS: Final = 25


def observe_pure_python(plan: RunPlan, journal: Journal, console: Console) -> None:
    """Adds the time of pure Python on one token, where the run measured the published shape and not pure Python."""
    measured = {(contest.workload.name, contest.workload.layer.dtype) for contest in plan.contests}
    known = any((one.name, one.implementation) == (PURE_PYTHON, _NAME) for one in journal.evidence.figures)
    if plan.device != "cpu" or plan.profile.name == "smoke" or (_LIKE, "float32") not in measured or known:
        return
    try:
        samples = _timed(plan.threads, console)
    except ImplementationFailed as failure:
        journal.add(left_out=(*journal.evidence.left_out, f"{_NAME} on {_WORKLOAD}: {failure}"))
        return
    figure = Figure(
        name=PURE_PYTHON,
        implementation=_NAME,
        workload=_WORKLOAD,
        samples=samples,
        method="the worker's clock around each call of one process",
    )
    journal.add(figures=(*journal.evidence.figures, figure))


def _timed(threads: int, console: Console) -> tuple[float, ...]:
    """Seconds of each call, every answer checked.

    Raises:
        ImplementationFailed: it failed, or gave a wrong answer.
    """
    samples: list[float] = []
    with (
        ground(find_workload(_WORKLOAD)) as on,
        Probe() as probe,
        Worker(threads=threads, trusted=True) as worker,
        step(console, f"{_NAME}: calls of one token", _CALLS) as shown,
    ):
        gauge = Gauge(probe=probe)
        worker.load(BASELINES[_NAME])
        worker.prepare(on.layer)
        for call in range(_CALLS):
            rows = on.bank.rows(_NAME, call=call)
            gauge.await_full_speed(_MOST_WAITS)
            output = worker.call(on.bank.gather(rows))
            if not on.check(rows, output.out, output.ids, output.weights):
                raise ImplementationFailed("forward", "gave a wrong answer")
            samples.append(output.worker_ns / 1e9)
            shown.advance()
    return tuple(samples)
