"""The workloads this project's promises are about, timed for the regression record (`make bench`).

Nothing here asserts a time: `moe-validation run` judges the promises, by process pairs. This record shows a change from
one commit to the next, as `make bench BENCH=--benchmark-compare` prints it.
"""

import importlib.util
import itertools
import os
from collections.abc import Callable
from typing import Any, Final

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from validation.claims.load import OWN_CLAIMS, load_claims
from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.implementations.implementation import Implementation
from validation.implementations.menu import BASELINES, MOJO
from validation.implementations.mojo_build import BuiltKernel, build_kernel
from validation.workloads.inputs import TokenBank, make_layer
from validation.workloads.layer import Layer
from validation.workloads.registry import find
from validation.workloads.workload import Workload

ROUNDS: Final = 40
THREADS: Final = len(os.sched_getaffinity(0))
PROMISED: Final = sorted(
    {
        reading.workload
        for claim in load_claims(OWN_CLAIMS).claims
        for reading in claim.readings
        if reading.device == "cpu" and reading.untestable is None
    }
)


def _contenders(name: str) -> list[Implementation]:
    """The kernel, and every PyTorch form, its hardest opponents, that runs the workload in reasonable time."""
    workload = find(name)
    opponents = [one for one in BASELINES.values() if one.family == "torch"]
    return [MOJO, *(one for one in opponents if one.takes(workload.flops, workload.layer.dtype, "cpu"))]


CASES: Final = [
    pytest.param(find(name), one, id=f"{name}-{one.name}") for name in PROMISED for one in _contenders(name)
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
    forward = _prepare(implementation, layer)

    def fresh() -> tuple[tuple[torch.Tensor, torch.Tensor], dict[str, object]]:
        x = bank.gather(bank.rows("benchmark", call=next(calls)))
        return (x, torch.full_like(x, torch.nan)), {}

    (x, out), _ = fresh()
    answer = forward(x, out)
    ids, weights = answer[1:] if isinstance(answer, tuple) else (None, None)
    assert compare(expect(layer, x), out, ids, weights).passed
    benchmark.pedantic(forward, setup=fresh, rounds=ROUNDS, warmup_rounds=5)  # type: ignore[no-untyped-call]
