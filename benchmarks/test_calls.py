"""The kernel and its peers, timed for the table of `make bench` and for the record that shows regressions.

Nothing here asserts a time: `moe-validation run` judges the promises. This record shows a change from one commit to the
next, as `make bench BENCH=--benchmark-compare` prints it. All contenders of a shape are timed together, by process
pairs, with the first of its tests; each test then hands the record the calls of one.
"""

from pathlib import Path
from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.contests import Contest, contest, role_of
from benchmarks.shapes import contenders, workloads
from validation.implementations.mojo_build import BuiltKernel, build_kernel
from validation.workloads.workload import Workload

CASES: Final = [
    pytest.param(workload, one.name, id=f"{workload.name}-{workload.layer.dtype}-{one.name}")
    for workload in workloads()
    for one in contenders(workload)
]


class RecordedClock:
    """A clock that goes on by what a call took in another process, when that call is made again for the record."""

    def __init__(self) -> None:
        self._now_ns = 0

    def now_s(self) -> float:
        return self._now_ns / 1e9

    def pass_by(self, ns: int) -> None:
        self._now_ns += ns


CLOCK: Final = RecordedClock()


@pytest.fixture(scope="module")
def library() -> Path:
    built = build_kernel()
    assert isinstance(built, BuiltKernel), str(built)
    return built.library


# A contest keeps to its own minute, but what compiles for it the first time does not.
@pytest.mark.timeout(900)
# A contender that failed, or an interrupt, leaves the clock unused; as an error that would keep the table back.
@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used:pytest_benchmark.logger.PytestBenchmarkWarning")
@pytest.mark.benchmark(timer=CLOCK.now_s)
@pytest.mark.parametrize(("workload", "contender"), CASES)
def test_time_of_a_call(
    workload: Workload, contender: str, library: Path, contests: dict[str, Contest], benchmark: BenchmarkFixture
) -> None:
    benchmark.group = f"{workload.name} {workload.layer.dtype}"
    benchmark.extra_info["flops"] = workload.flops
    measured = contests.get(benchmark.group) or contest(workload, library)
    contests[benchmark.group] = measured
    assert not list(measured.failures(contender))
    accepted = measured.measured(contender, role_of(contender)).calls.values()
    calls = iter([ns for of_process in accepted for ns in of_process])
    rounds = sum(map(len, accepted))
    if not rounds:
        pytest.skip("the speed probe rejected every call: the machine was busy")
    benchmark.pedantic(lambda: CLOCK.pass_by(next(calls)), rounds=rounds)  # type: ignore[no-untyped-call]  # it has no annotations
