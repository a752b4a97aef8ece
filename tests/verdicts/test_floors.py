from typing import Any

import pytest

from tests import synthetic
from validation.evidence.environment import Gpu
from validation.evidence.record import Evidence
from validation.performance.ceiling import Resource
from validation.performance.sample import probes
from validation.verdicts.datasheet import find
from validation.verdicts.floors import Floor, Hardware, floor, usual_floor

EVIDENCE = synthetic.evidence(pairs=1, times_us={"seed-claim": {synthetic.CANDIDATE: 10_000.0}})
GPU = synthetic.gpu_evidence(pairs=1)


def least(workload: str, evidence: Evidence = EVIDENCE, device: str = "cpu", **changed: Any) -> Floor:
    found = floor(Hardware.of(evidence, device), synthetic.workload(workload).model_copy(update=changed))
    assert found is not None
    return found


def test_much_work_is_bound_by_the_peak_of_its_dtype() -> None:
    peak = synthetic.PEAK
    assert least("seed-claim") == Floor(ns=2_147_483_648 / peak * 1e9, bound_by="compute", rate=peak)
    assert least("seed-claim:bfloat16").ns == pytest.approx(2_147_483_648 / 469)


def test_a_ceiling_measured_beside_a_strangers_work_is_the_fastest_probes() -> None:
    slow = tuple(
        one.model_copy(update={"value": 0.8 * one.value}) if one.resource is Resource.COMPUTE else one
        for one in EVIDENCE.ceilings
    )
    disturbed = EVIDENCE.model_copy(update={"ceilings": slow})
    fastest = max(probes(EVIDENCE.processes, "cpu"))
    assert fastest > 0.8 * synthetic.PEAK
    assert least("seed-claim", disturbed).rate == fastest
    # The probe says nothing of bfloat16's instructions.
    assert least("seed-claim:bfloat16", disturbed).rate == 0.8 * 469e9


def test_one_token_is_bound_by_the_bandwidth_of_the_fastest_cache() -> None:
    found = least("seed-claim-t1")
    assert (found.bound_by, found.rate) == ("memory", 434e9)
    assert found.ns == pytest.approx(synthetic.workload("seed-claim-t1").min_bytes / 434)


def test_only_weights_beyond_all_caches_must_come_from_memory() -> None:
    """1 GiB of weights, two cores of 33 MiB of cache each: the rest at 34.8 GB/s."""
    caches = 2 * ((32 << 10) + (1 << 20) + (32 << 20))
    tokens = 2 * 1 * 256 * 4
    found = least("seed-claim-t1", min_bytes=(1 << 30) + tokens)
    assert (found.bound_by, found.rate) == ("memory", 34.8e9)
    assert found.ns == pytest.approx(((1 << 30) - caches) / 34.8)


def test_weights_that_fit_a_cache_owe_nothing_to_memory() -> None:
    slow_memory = tuple(
        one.model_copy(update={"value": 1e6}) if one.level == "DRAM" else one for one in EVIDENCE.ceilings
    )
    assert least("seed-claim-t1", EVIDENCE.model_copy(update={"ceilings": slow_memory})) == least("seed-claim-t1")


def test_one_burst_of_turbo_lowers_the_floor_but_not_what_is_usual() -> None:
    def floors(samples: tuple[float, ...]) -> tuple[float, float]:
        ceilings = [
            one.model_copy(update={"samples": samples, "value": max(samples)})
            for one in EVIDENCE.ceilings
            if one.resource is Resource.COMPUTE and one.dtype == "float32"
        ]
        hardware = Hardware.of_cpu(ceilings, {}, 2)
        workload = next(one for one in EVIDENCE.workloads if (one.name, one.dtype) == ("seed-claim", "float32"))
        found, usual = floor(hardware, workload), usual_floor(hardware, workload)
        assert found is not None
        assert usual is not None
        return found.ns, usual.ns

    calm, burst = floors((350e9,) * 24), floors((350e9,) * 23 + (389e9,))
    assert burst[0] == pytest.approx(calm[0] * 350 / 389)
    assert burst[1] == calm[1] == calm[0]


def test_a_dtype_without_a_ceiling_has_no_floor() -> None:
    assert floor(Hardware.of(EVIDENCE, "cpu"), synthetic.workload("seed-claim:float16")) is None


def test_the_datasheet_wins_where_it_is_above_what_was_measured() -> None:
    assert least("seed-claim:bfloat16", GPU, "cuda").rate == 989.4e12


def test_a_measurement_above_the_datasheet_wins() -> None:
    faster = tuple(
        one.model_copy(update={"value": 1200e12})
        if one.resource is Resource.COMPUTE and one.device == "cuda" and one.dtype == "bfloat16"
        else one
        for one in GPU.ceilings
    )
    assert least("seed-claim:bfloat16", GPU.model_copy(update={"ceilings": faster}), "cuda").rate == 1200e12


def test_an_unknown_gpu_is_judged_by_its_measured_ceilings_alone() -> None:
    unknown = Gpu(name="Imagined 9000", memory_bytes=1, driver="1", compute_capability="9.9")
    environment = GPU.environment.model_copy(update={"gpu": unknown})
    assert least("seed-claim:bfloat16", GPU.model_copy(update={"environment": environment}), "cuda").rate == 785e12


def test_float32_on_a_gpu_may_use_three_tf32_products() -> None:
    sheet = find("NVIDIA H200")
    assert sheet is not None
    assert sheet.peak("float32") == pytest.approx(494.7e12 / 3)


def test_a_cpu_never_borrows_a_gpus_ceiling() -> None:
    assert least("seed-claim", GPU, "cpu").rate == 2.65e12
