"""Ceilings are the best of repeats that go round, each over a working set that comes from its level."""

from dataclasses import dataclass, field, replace

import pytest
from pydantic import ValidationError

from validation.cpu import Cpu
from validation.performance.ceiling import Ceiling, Resource
from validation.performance.ceilings import buffer_bytes, ceilings_of, larger, measure_ceilings, working_sets

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CACHES = {"L1": 32 * KIB, "L2": 1 * MIB, "L3": 32 * MIB}
CPU = Cpu(vendor="v", model="m", family="f", features=(), caches=CACHES, cores=(0, 1))


@dataclass
class FakeMeter:
    """A machine of 100 FLOP/s per thread from which the host takes half for the calls of one `stolen` spell."""

    stolen: range = range(0)
    bfloat16: bool = True
    calls: list[str] = field(default_factory=list)

    def __call__(self) -> float:
        return self._speed("probe", 80.0)

    def supports(self, dtype: str) -> bool:
        return dtype == "float32" or self.bfloat16

    def peak(self, dtype: str, threads: int, seconds: float) -> float:  # noqa: ARG002
        return self._speed(f"{dtype} {threads}", 100.0 * threads)

    def read(self, threads: int, seconds: float, bytes_per_thread: int) -> float:  # noqa: ARG002
        return self._speed(f"read {threads} {bytes_per_thread}", 1000.0 * threads)

    def method(self, dtype: str | None) -> str:
        return f"fake {dtype}"

    def _speed(self, call: str, speed: float) -> float:
        self.calls.append(call)
        return speed / 2 if len(self.calls) - 1 in self.stolen else speed


def test_a_ceiling_is_the_best_of_its_repeats_and_keeps_them_all() -> None:
    first, *_ = ceilings_of(FakeMeter(stolen=range(3)), CPU, 256 * MIB, rounds=3, seconds=0.0)
    assert (first.resource, first.dtype, first.threads) == (Resource.COMPUTE, "float32", 1)
    assert first.samples == (50.0, 100.0, 100.0)
    assert first.value == 100.0


def test_a_spell_of_theft_as_long_as_a_round_lowers_no_ceiling() -> None:
    calm = ceilings_of(FakeMeter(), CPU, 256 * MIB, rounds=4, seconds=0.0)
    robbed = ceilings_of(FakeMeter(stolen=range(5, 5 + len(calm))), CPU, 256 * MIB, rounds=4, seconds=0.0)
    assert [ceiling.value for ceiling in robbed] == [ceiling.value for ceiling in calm]


def test_every_ceiling_is_there_for_one_thread_and_for_all() -> None:
    found = {
        (ceiling.dtype or ceiling.level, ceiling.threads)
        for ceiling in ceilings_of(FakeMeter(), CPU, 256 * MIB, rounds=1, seconds=0.0)
    }
    assert found == {(what, n) for what in ("float32", "bfloat16", "L1", "L2", "L3", "DRAM") for n in (1, 2)}


def test_a_machine_of_one_core_is_measured_once() -> None:
    alone = replace(CPU, cores=(3,))
    assert {c.threads for c in ceilings_of(FakeMeter(), alone, 256 * MIB, rounds=1, seconds=0.0)} == {1}


def test_a_dtype_the_processor_lacks_has_no_ceiling() -> None:
    found = ceilings_of(FakeMeter(bfloat16=False), CPU, 256 * MIB, rounds=1, seconds=0.0)
    assert "bfloat16" not in {ceiling.dtype for ceiling in found}


def test_a_working_set_fits_its_level_and_misses_the_one_before() -> None:
    for threads in (1, 2):
        sets = working_sets(CACHES, threads, 256 * MIB)
        assert sets["L1"] <= CACHES["L1"] < sets["L2"] <= CACHES["L2"] < sets["L3"]
        assert sets["L3"] * threads <= CACHES["L3"] < sets["DRAM"] * threads


def test_a_level_that_the_machine_hides_is_left_out() -> None:
    assert set(working_sets({}, 2, 256 * MIB)) == {"DRAM"}


@pytest.mark.parametrize(
    ("last_cache", "memory", "expected"),
    [(32 * MIB, 24 * GIB, 256 * MIB), (384 * MIB, 1024 * GIB, 1536 * MIB), (32 * MIB, 1 * GIB, 128 * MIB)],
)
def test_the_buffer_outgrows_the_caches_within_an_eighth_of_the_memory(
    last_cache: int, memory: int, expected: int
) -> None:
    assert buffer_bytes(replace(CPU, caches={"L3": last_cache}), memory) == expected


def test_this_machine_has_ceilings_that_order_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two caches of 300 MiB order them too, and leave memory to the test beside this one.
    monkeypatch.setattr("validation.performance.ceilings.DRAM_CACHES", 2)
    found = {
        (ceiling.dtype or ceiling.level, ceiling.threads): ceiling.value
        for ceiling in measure_ceilings(rounds=4, seconds=0.005)
    }
    assert found["float32", 1] > 1e9
    assert found["DRAM", 1] > 1e8
    if ("L1", 1) in found:
        assert found["L1", 1] > found["DRAM", 1]


def test_a_second_measurement_raises_a_ceiling_and_never_lowers_it() -> None:
    whole, stolen = (
        ceilings_of(FakeMeter(stolen=spell), CPU, 256 * MIB, rounds=2, seconds=0.0) for spell in (range(0), range(999))
    )
    for first, second in ((whole, stolen), (stolen, whole)):
        kept = larger(first, second)
        assert [one.value for one in kept] == [one.value for one in whole]
        assert all(one.value == max(one.samples) and len(one.samples) == 4 for one in kept)
        assert all(one.method.endswith("best of 4 at two times") for one in kept)


def test_a_ceiling_that_was_not_measured_again_stays() -> None:
    first = ceilings_of(FakeMeter(), CPU, 256 * MIB, rounds=2, seconds=0.0)
    assert larger(first, ()) == first


def test_a_peak_as_it_usually_is_follows_the_usual_probe() -> None:
    (peak, *_) = ceilings_of(FakeMeter(), CPU, 256 * MIB, rounds=3, seconds=0.0)
    assert peak.probes == (80.0,) * 3
    # 100 where the probe reads 80, on one thread.
    assert peak.usual(40.0) == 50.0
    assert peak.usual(None) == 100.0
    again = larger((peak,), (peak.model_copy(update={"probes": (160.0,) * 3}),))[0]
    assert again.probes == (80.0,) * 3 + (160.0,) * 3
    # A bandwidth does not follow it: one repeat in five exceeds it.
    reads = ceilings_of(FakeMeter(), CPU, 256 * MIB, rounds=3, seconds=0.0)[-1]
    assert (reads.probes, reads.usual(40.0)) == ((), reads.usual(None))
    with pytest.raises(ValidationError, match="as many as samples"):
        Ceiling.model_validate(peak.model_dump() | {"probes": (1.0,)})
