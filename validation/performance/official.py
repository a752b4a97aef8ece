"""The kernel's time by Mojo's own benchmark module, in a program without Python, beside what is measured here."""

from __future__ import annotations

import os
import subprocess
from statistics import median
from typing import TYPE_CHECKING, Final

from validation.implementations.failure import ImplementationFailed
from validation.performance.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from validation.performance.gauge import Gauge
    from validation.workloads.workload import Workload

OFFICIAL_RATIO: Final = "official-benchmark-ratio"
#: The module's minimum: some 20 calls of seed-claim.
SECONDS: Final = 0.2
_TIMEOUT_S: Final = 120
#: Of one run of 0.3 s a process, whose probes stand far apart, the ratio of 12 processes was [0.92, 1.08] beside busy
#: neighbours.
_RUNS: Final = 3


def run_official(program: Path, workload: Workload, threads: int) -> int:
    """Returns the mean time of a call that the module reports, ns.

    Raises:
        ImplementationFailed: the program failed, or said nothing that can be read.
    """
    layer = workload.layer
    shape = (layer.d_model, layer.d_ff, layer.n_experts, layer.top_k, workload.tokens, threads, SECONDS)
    try:
        told = subprocess.run(
            [str(program), *map(str, shape)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            env={"PATH": os.environ.get("PATH", "")},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImplementationFailed("benchmark", str(error)) from None
    name, mean_ns = ["", "", *told.stdout.split()][-2:]
    if told.returncode != 0 or name != "mean_ns" or not mean_ns.isdecimal():
        raise ImplementationFailed("benchmark", told.stderr.strip() or f"said {told.stdout[-200:]!r}")
    return int(mean_ns)


def measure_official(program: Path, workload: Workload, threads: int, gauge: Gauge) -> float | None:
    """Returns the module's mean in what the probes beside it would have done: its seconds times their FLOP/s.

    The middle one of some runs; None when the machine was slow before or after every one of them.

    Raises:
        ImplementationFailed: as `run_official`.
    """
    told: list[float] = []
    for _ in range(_RUNS):
        before, _ = gauge.await_full_speed()
        mean_ns = run_official(program, workload, threads)
        after = gauge.read()
        if gauge.rule.holds(min(before, after)):
            told.append(mean_ns * 1e-9 * (before + after) / 2)
        if not gauge.patient:
            break
    return median(told) if told else None


def official_figure(workload: Workload, implementation: str, samples: tuple[float, ...]) -> Figure:
    """Returns the figure of one sample a pair of processes."""
    return Figure(
        name=OFFICIAL_RATIO,
        implementation=implementation,
        workload=workload.name,
        dtype=workload.layer.dtype,
        samples=samples,
        method="median of a process's calls through Python over the mean that std.benchmark reports of a process right "
        "after it, without Python, both at the usual speed",
    )
