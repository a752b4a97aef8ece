"""`benchmark-official`: Mojo's own benchmark module on the kernel, beside this suite's figure of the same minute."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from rich.console import Console

from validation.implementations.failure import ImplementationFailed
from validation.implementations.mojo_build import BENCHMARK, BuildFailure, build_kernel
from validation.implementations.process import Worker
from validation.implementations.shared_layer import SharedLayer
from validation.performance.gauge import Gauge
from validation.performance.official import measure_official
from validation.performance.probe import Probe
from validation.performance.statistics import Estimate, level, ratio
from validation.stages.console import step
from validation.stages.selection import built_mojo, thread_count
from validation.usage import UsageError
from validation.workloads.inputs import TokenBank, make_layer
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from pathlib import Path

    from validation.implementations.implementation import Implementation

_PAIRS: Final = 6
_CALLS: Final = 40
_MOST_WAITS: Final = 20


def benchmark_official(workload_name: str) -> bool:
    """Prints both figures and their ratio; False when their intervals have nothing in common.

    Raises:
        UsageError: the kernel or the program cannot be built, or one of them fails.
    """
    console, workload, threads = Console(), find_workload(workload_name), thread_count()
    candidate, _library = built_mojo()
    program = built_benchmark()
    bank, layer = TokenBank.draw(workload), make_layer(workload.layer, workload.seed)
    own: list[float] = []
    official: list[float] = []
    with ExitStack() as stack:
        shared = stack.enter_context(SharedLayer.of(layer))
        gauge = Gauge(probe=stack.enter_context(Probe()))
        shown = stack.enter_context(step(console, f"{workload.name}: pairs of processes", _PAIRS))
        for pair in range(_PAIRS):
            gauge.await_full_speed(_MOST_WAITS)
            try:
                # In turns, so that neither always comes after the other.
                if pair % 2:
                    own.append(_own_flop(candidate, shared, bank, threads, pair, gauge))
                flop = measure_official(program, workload, threads, gauge)
                if not pair % 2:
                    own.append(_own_flop(candidate, shared, bank, threads, pair, gauge))
            except ImplementationFailed as failure:
                raise UsageError(f"the benchmark failed: {failure}") from None
            if flop is None:
                raise UsageError("the machine was never at full speed: something else runs. Try again when it rests.")
            official.append(flop)
            shown.advance()
        usual = gauge.rule.usual_flop_per_s * 1e-9
    own, official = [flop / usual for flop in own], [flop / usual for flop in official]
    mine, theirs, over = level(own), level(official), ratio(own, official)
    assert mine is not None
    assert theirs is not None
    assert over is not None
    console.print("At the machine's usual speed:")
    console.print(f"std.benchmark, from Mojo      {_ms(theirs)}", highlight=False)
    console.print(f"this suite, through Python    {_ms(mine)}", highlight=False)
    console.print(f"ratio                         {over.value:.3f} [{over.low:.3f}, {over.high:.3f}]", highlight=False)
    return mine.low <= theirs.high and theirs.low <= mine.high


def built_benchmark() -> Path:
    """Returns the program, compiled for this machine.

    Raises:
        UsageError: there is no compiler, or it refused.
    """
    built = build_kernel(program=BENCHMARK)
    if isinstance(built, BuildFailure):
        raise UsageError(str(built))
    return built.library


def _own_flop(  # noqa: PLR0913, PLR0917 -- what is called, and what it is told
    candidate: Implementation, layer: SharedLayer, bank: TokenBank, threads: int, pair: int, gauge: Gauge
) -> float:
    """The median time of a call in a fresh process, told as `measure_official` tells it."""
    with Worker(threads=threads, environment=candidate.environment) as worker:
        worker.load(candidate)
        worker.prepare(layer)
        worker.call_block([bank.gather(bank.rows("warm", pair, call=call)) for call in range(_CALLS // 2)])
        worker.settle()
        before = gauge.read()
        timed = worker.call_block([bank.gather(bank.rows("timed", pair, call=call)) for call in range(_CALLS)])
        worker.settle()
        return statistics.median(timed.calls_ns) * 1e-9 * (before + gauge.read()) / 2


def _ms(estimate: Estimate) -> str:
    return f"{estimate.value / 1e6:8.3f} ms [{estimate.low / 1e6:.3f}, {estimate.high / 1e6:.3f}]"
