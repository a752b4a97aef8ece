"""What the hardware allows, and what no measurement may beat."""

import pytest

from tests.verdicts.judging import finding, reading, with_times
from validation.verdicts.reasons import Reason
from validation.verdicts.verdict import Verdict


def test_a_candidate_below_its_floor_is_a_harness_fault_and_never_a_win() -> None:
    found = finding(reading(1.2), with_times(5_000))
    assert (found.verdict, found.reason) == (Verdict.HARNESS_FAULT, Reason.FASTER_THAN_FLOOR)


def test_a_baseline_below_its_floor_makes_no_claim_look_impossible() -> None:
    assert finding(reading(382), with_times(10_000, baseline_us=50)).verdict is Verdict.HARNESS_FAULT


@pytest.mark.parametrize(
    ("metric", "limit"),
    [
        ("tokens_per_s", 1024 / 9.0224e-3),
        ("gflop_per_s", 238.0175),
        ("floor_share", 1.0),
        # 10.5 MB take memory 302 us, and the cores 9,158.
        ("bandwidth_share", 10.486e6 / 34.8e9 / 9.0224e-3),
    ],
)
def test_the_limit_is_in_the_metrics_unit(metric: str, limit: float) -> None:
    found = finding(reading(0.5, metric=metric, baseline=None))
    assert found.limit == pytest.approx(limit, rel=1e-3)
    assert found.floor_us == pytest.approx(9_022.4, rel=1e-3)
