"""The kernel and its peers, timed for the table of `make bench` and for the record that shows regressions.

Nothing here asserts a time: `moe-validation run` judges the promises, by process pairs. This record shows a change from
one commit to the next, as `make bench BENCH=--benchmark-compare` prints it.
"""

import importlib.util
import itertools
import os
import time
from collections.abc import Callable
from typing import Any, Final

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.shapes import contenders, workloads
from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.implementations.implementation import Implementation
from validation.implementations.mojo_build import BuiltKernel, build_kernel
from validation.workloads.inputs import TokenBank, make_layer
from validation.workloads.layer import Layer
from validation.workloads.workload import Workload

THREADS: Final = len(os.sched_getaffinity(0))
#: Calls of one contender: so many, or as many as this time holds, but never fewer than the interval of a median needs.
MOST_ROUNDS: Final = 200
LEAST_ROUNDS: Final = 6
SECONDS: Final = 1.0

CASES: Final = [
    pytest.param(workload, one, id=f"{workload.name}-{workload.layer.dtype}-{one.name}")
    for workload in workloads()
    for one in contenders(workload)
]


@pytest.fixture(scope="module")
def library() -> str:
    built = build_kernel()
    assert isinstance(built, BuiltKernel), str(built)
    return str(built.library)


def _prepare(implementation: Implementation, layer: Layer) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location(implementation.name, implementation.source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    forward: Callable[..., Any] = getattr(module, implementation.function)(layer)
    return forward


@pytest.mark.parametrize(("workload", "implementation"), CASES)
def test_time_of_a_call(
    workload: Workload,
    implementation: Implementation,
    library: str,
    benchmark: BenchmarkFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOE_KERNEL_LIBRARY", library)
    monkeypatch.setenv("MOE_KERNEL_THREADS", str(THREADS))
    torch.set_num_threads(THREADS)
    benchmark.group = f"{workload.name} {workload.layer.dtype}"
    benchmark.extra_info["flops"] = workload.flops
    layer, bank, calls = make_layer(workload.layer, workload.seed), TokenBank.draw(workload), itertools.count()
    try:
        forward = _prepare(implementation, layer)
    except (ImportError, NotImplementedError) as reason:
        pytest.skip(f"{implementation.name}: {reason}")

    def fresh() -> tuple[tuple[torch.Tensor, torch.Tensor], dict[str, object]]:
        # OpenMP's threads spin on after a parallel region, beside those of a kernel that brings its own: 12 ms for 8.
        torch.set_num_threads(1)
        x = bank.gather(bank.rows("benchmark", call=next(calls)))
        out = torch.full_like(x, torch.nan)
        torch.set_num_threads(THREADS)
        return (x, out), {}

    (x, out), _ = fresh()
    answer = forward(x, out)
    ids, weights = answer[1:] if isinstance(answer, tuple) else (None, None)
    assert compare(expect(layer, x), out, ids, weights).passed
    (x, out), _ = fresh()
    started = time.perf_counter()
    forward(x, out)
    rounds = max(LEAST_ROUNDS, min(MOST_ROUNDS, int(SECONDS / (time.perf_counter() - started))))
    benchmark.pedantic(forward, setup=fresh, rounds=rounds, warmup_rounds=2)  # type: ignore[no-untyped-call]  # it has no annotations
