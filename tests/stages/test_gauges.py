"""Figures of a run on a GPU, from what its processes kept beside the blocks."""

from validation.performance.sample import ProcessRun, Role, Series
from validation.performance.sustained import Sustained
from validation.stages.gauges import COLD, ENERGY, SUSTAINED, gpu_figures


def process(turn: int, role: Role = Role.CANDIDATE, *, joules: float | None = 2.0) -> ProcessRun:
    series = Series(
        implementation="mojo",
        workload="seed-claim",
        dtype="bfloat16",
        device="cuda",
        prepare_ns=0,
        prepare_bytes=0,
        first_call_ns=0,
        blocks=(),
        cold_ns=(30_000, 20_000, 10_000),
        sustained=Sustained(calls=1000, parent_ns=10**8, energy_j=joules),
    )
    return ProcessRun(
        round=turn, position=0, role=role, discarded=turn == 0, threads=1, series=(series,), workload="seed-claim"
    )


def test_each_process_gives_a_sample_of_its_cold_calls_and_of_its_energy() -> None:
    cold, sustained, energy = gpu_figures([process(1), process(2, joules=4.0)])
    assert (cold.name, cold.samples) == (COLD, (20.0, 20.0))
    assert (energy.name, energy.samples) == (ENERGY, (0.002, 0.004))
    assert (sustained.name, sustained.samples) == (SUSTAINED, (100.0, 100.0))
    assert (energy.device, energy.implementation) == ("cuda", "mojo")


def test_the_discarded_round_and_the_second_half_of_the_null_give_none() -> None:
    assert gpu_figures([process(0), process(1, Role.CANDIDATE_AGAIN)]) == ()


def test_a_gpu_that_counts_no_energy_gives_no_energy() -> None:
    assert [one.name for one in gpu_figures([process(1, joules=None)])] == [COLD, SUSTAINED]
