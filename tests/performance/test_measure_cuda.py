"""A run on a GPU: the host's baselines in the same rounds, the GPU's state and energy beside the blocks, cold calls."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.performance.test_measure import MS, WORKLOAD, Bench, FakeWorker, _named
from validation.implementations.shared_layer import SharedLayer
from validation.performance.gpu_state import GpuState
from validation.performance.measure import Measurement
from validation.performance.order import Turn
from validation.performance.sample import ProcessRun, Role, Series, apply_rule, probe_rule
from validation.workloads.inputs import make_layer

_CUDA: Final = replace(WORKLOAD, layer=replace(WORKLOAD.layer, device="cuda"))
_STATE: Final = GpuState(sm_mhz=1980, memory_mhz=3201, power_w=300.0, temperature_c=40)


@pytest.fixture(scope="module")
def layer() -> Iterator[SharedLayer]:
    with SharedLayer.of(make_layer(WORKLOAD.layer)) as shared:
        yield shared


class GpuBench(Bench):
    """A bench on a GPU, with NumPy on its host."""

    def __init__(self, layer: SharedLayer) -> None:
        super().__init__(layer, _CUDA)
        self.call_ns |= {"numpy": 50 * MS}
        self.joules = 0.0
        self.probe = lambda: 700e12

    def _open(self, measurement: Measurement, turn: Turn) -> FakeWorker:
        worker = super()._open(measurement, turn)
        # A GPU's time does not hang on the host's cores.
        worker.cores = 9.0 if measurement.bank.workload is _CUDA else 2.0
        return worker

    def energy_j(self) -> float:
        self.joules += 100.0
        return self.joules

    def runs(self) -> list[ProcessRun]:
        host = Bench(self.layer).measurement(baselines=(_named("numpy"),), probe=lambda: 1e12)
        fields: dict[str, Any] = {
            "host": host,
            "gpu_state": lambda: _STATE,
            "energy_j": self.energy_j,
            "energy": frozenset({"mine"}),
        }
        return self.run(fields)


@pytest.fixture(scope="module")
def runs(layer: SharedLayer) -> list[ProcessRun]:
    return GpuBench(layer).runs()


def series_of(runs: list[ProcessRun], name: str) -> list[Series]:
    return [series for run in runs if not run.discarded for series in run.series if series.implementation == name]


def test_the_hosts_baselines_are_timed_in_the_same_rounds_on_the_cpu(runs: list[ProcessRun]) -> None:
    rounds = {run.round for run in runs if run.role is Role.CANDIDATE}
    hosts = {run.round for run in runs if any(series.implementation == "numpy" for series in run.series)}
    assert hosts == rounds
    assert {series.device for series in series_of(runs, "numpy")} == {"cpu"}
    assert {series.device for series in series_of(runs, "mine")} == {"cuda"}


def test_each_device_has_a_rule_of_its_own(runs: list[ProcessRun]) -> None:
    gpu, host = probe_rule(runs, device="cuda"), probe_rule(runs, device="cpu")
    assert gpu is not None
    assert host is not None
    assert (gpu.usual_flop_per_s, host.usual_flop_per_s) == (700e12, 1e12)
    judged = apply_rule(apply_rule(runs, gpu, device="cuda"), host, device="cpu")
    assert all(block.accepted for run in judged for series in run.series for block in series.blocks)


def test_one_rule_for_both_devices_would_reject_the_hosts_blocks(runs: list[ProcessRun]) -> None:
    rule = probe_rule(runs, device="cuda")
    assert rule is not None
    judged = list(apply_rule(runs, rule))
    assert not any(block.accepted for series in series_of(judged, "numpy") for block in series.blocks)


def test_the_gpus_state_stands_beside_its_blocks_and_not_beside_the_hosts(runs: list[ProcessRun]) -> None:
    assert all(block.gpu_before == _STATE for series in series_of(runs, "mine") for block in series.blocks)
    assert all(block.gpu_before is None for series in series_of(runs, "numpy") for block in series.blocks)


def test_a_gpus_block_keeps_the_hosts_times_too(runs: list[ProcessRun]) -> None:
    block = series_of(runs, "mine")[0].blocks[0]
    assert len(block.hosts_ns) == len(block.calls_ns)


def test_cold_calls_are_made_on_a_gpu_alone(runs: list[ProcessRun]) -> None:
    assert all(series.cold_ns for series in series_of(runs, "mine"))
    assert not any(series.cold_ns for series in series_of(runs, "numpy"))


def test_energy_is_read_around_sustained_calls_of_those_it_is_asked_of(runs: list[ProcessRun]) -> None:
    found = [series.sustained for series in series_of(runs, "mine")]
    assert all(one is not None and one.energy_j == pytest.approx(100.0) and one.calls > 0 for one in found)
    assert all(series.sustained is None for series in series_of(runs, "slow"))


def test_a_wrong_output_of_a_cold_call_counts(layer: SharedLayer) -> None:
    bench = GpuBench(layer)
    bench.flaws = frozenset({"wrong"})
    series = series_of(bench.runs(), "mine")[0]
    assert series.blocks[-1].outputs_wrong > len(series.blocks[-1].calls_ns)
