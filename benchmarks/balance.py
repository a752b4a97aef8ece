"""How evenly the Mojo kernel's threads share their work: skewed routing beside uniform, two threads beside one.

    python -m benchmarks.balance            prints the table
    python -m benchmarks.balance --write    puts it into docs/CPU_KERNEL.md too

Forms of one shape are called in turn. A call counts when the speed probe just before and just after it ran at 93 % of
the best seen; figures are medians of those.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import torch

from benchmarks.document import write
from validation.implementations.menu import MOJO
from validation.implementations.mojo_build import BuiltKernel, build_kernel
from validation.performance.probe import Probe
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.shape import parse_shape
from validation.workloads.workload import Routing

if TYPE_CHECKING:
    from collections.abc import Callable

MARK: Final = "<!-- python -m benchmarks.balance --write -->"

#: Many rows for each expert, a few for each, and so few that a skew decides which weights are read at all.
SHAPES: Final = (
    "1024x256x1024-E4-k2-float32",
    "1024x256x512-E32-k2-float32",
    "2048x256x512-E64-k4-silu-gated-bfloat16",
)

LEAST_SPEED: Final = 0.93
SECONDS: Final = 10.0


def kernel_on(threads: int) -> Callable[[Any], Callable[..., object]]:
    """Returns the kernel's `prepare` with so many threads."""
    built = build_kernel()
    if not isinstance(built, BuiltKernel):
        raise SystemExit(str(built))
    spec = importlib.util.spec_from_file_location(f"kernel_on_{threads}", MOJO.source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def prepare(layer: Any) -> Callable[..., object]:  # noqa: ANN401 -- a Layer
        os.environ |= {"MOE_KERNEL_LIBRARY": str(built.library), "MOE_KERNEL_THREADS": str(threads)}
        forward: Callable[..., object] = module.prepare(layer)
        return forward

    return prepare


def rows(shape: str, probe: Probe) -> list[str]:
    """Times every form of a shape in turn and returns its rows of the table."""
    workload, cores = parse_shape(shape), len(os.sched_getaffinity(0))
    layer = make_layer(workload.layer)
    prepared = {threads: kernel_on(threads)(layer) for threads in (1, cores)}
    forms = [(routing, cores) for routing in Routing] + [(Routing.UNIFORM, 1)]
    inputs = {routing: draw_tokens(workload.layer, workload.tokens, routing=routing) for routing in Routing}
    out = torch.empty_like(inputs[Routing.UNIFORM])
    calls: dict[tuple[Routing, int], list[tuple[float, float]]] = {form: [] for form in forms}
    end = time.monotonic() + SECONDS
    best = 0.0
    while time.monotonic() < end:
        for routing, threads in forms:
            x = inputs[routing]
            prepared[threads](x, out)
            before = probe()
            started = time.perf_counter_ns()
            prepared[threads](x, out)
            took = time.perf_counter_ns() - started
            speed = min(before, probe())
            best = max(best, speed)
            calls[routing, threads].append((took, speed))
    kept = {form: [ns for ns, speed in timed if speed >= LEAST_SPEED * best] for form, timed in calls.items()}
    medians = {form: statistics.median(times) if times else float("nan") for form, times in kept.items()}
    uniform = medians[Routing.UNIFORM, cores]
    lines = []
    for (routing, threads), median in medians.items():
        told = f"{median / uniform:.0%} of uniform's time"
        if threads != cores:
            told = f"{median / (cores * uniform):.0%} efficiency of {cores} threads"
        form = f"{routing.value}, {threads} thread{'s' * (threads > 1)}"
        lines.append(f"| {shape} | {form} | {median / 1e3:,.0f} us | {len(kept[routing, threads])} | {told} |")
    return lines


def main() -> None:
    """Prints the table, and writes it where it was asked to."""
    with Probe() as probe:
        lines = [line for shape in SHAPES for line in rows(shape, probe)]
    table = "\n".join(("| shape | routing, threads | median | calls kept | |", "|---|---|---|---|---|", *lines))
    sys.stdout.write(f"{table}\n")
    if "--write" in sys.argv[1:]:
        write(MARK, table)


if __name__ == "__main__":
    main()
