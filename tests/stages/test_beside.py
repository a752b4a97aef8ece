"""What is measured beside the calls is what testable readings of the device ask for, no more."""

from dataclasses import replace

import pytest

from validation.claims.claim import Arrivals, Load
from validation.claims.load import SEED_CLAIMS, load_claims
from validation.report.material import ClaimsSource
from validation.stages.beside import beside
from validation.workloads.registry import find
from validation.workloads.workload import Workload

SEED = (ClaimsSource(data=SEED_CLAIMS.read_bytes(), file=load_claims(SEED_CLAIMS)),)
TEN = Load(arrivals=Arrivals.CLOSED, concurrency=10)


def of(name: str, device: str = "cpu", dtype: str = "float32") -> Workload:
    workload = find(name)
    return replace(workload, layer=replace(workload.layer, device=device, dtype=dtype))


@pytest.mark.parametrize(
    ("workload", "loads"),
    [
        (of("seed-claim"), (TEN, Load(arrivals=Arrivals.OPEN, per_s=50))),
        (of("cpu-serving"), (TEN,)),
        (of("seed-serving", "cuda", "bfloat16"), (TEN,)),
        # What is claimed of a GPU is not asked of a CPU.
        (of("seed-serving", "cpu", "bfloat16"), ()),
        (of("seed-quick"), ()),
    ],
)
def test_the_loads_are_those_that_readings_name_there(workload: Workload, loads: tuple[Load, ...]) -> None:
    assert beside(SEED, workload, 2, None).loads == loads


def test_the_share_of_overhead_is_taken_where_the_same_layer_is_prepared() -> None:
    assert [bank.workload.name for bank in beside(SEED, of("seed-claim"), 2, None).overheads] == ["seed-claim-t1"]
    assert beside(SEED, of("cpu-serving"), 2, None).overheads == ()


def test_nothing_is_asked_of_a_layer_in_another_dtype() -> None:
    aside = beside(SEED, of("seed-claim", dtype="bfloat16"), 2, None)
    assert (aside.loads, aside.overheads) == ((), ())
