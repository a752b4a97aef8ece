import pytest

from tests.verdicts.judging import reading
from validation.performance.statistics import Estimate
from validation.verdicts.explain import amount, bound, measured, percent


@pytest.mark.parametrize(
    ("share", "text"), [(0.03, "3 %"), (0.005, "0.5 %"), (0.996, "100 %"), (1.2, "120 %"), (45.678, "4,600 %")]
)
def test_a_share_is_told_without_an_exponent(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_share_far_beyond_the_limit_is_told_without_an_exponent() -> None:
    share = reading(0.85, metric="floor_share", baseline=None)
    assert amount(share, 12.34) == "1,230 % of the hardware's limit"
    assert amount(reading(0.9, metric="bandwidth_share", baseline=None), 12.34) == "1,230 % of memory's bandwidth"


def test_times_and_figures_keep_their_units() -> None:
    slow = reading(metric="p95_latency_us", baseline=None, requirement={"at_most": 47_000})
    assert (bound(slow, 47_000), amount(slow, 6.27e6)) == ("47 ms", "6.27 s")
    overhead = reading(metric="figure", figure="call-overhead-share", baseline=None, requirement={"at_most": 0.01})
    found = measured(overhead, Estimate(value=0.0523, low=0.046, high=0.0594, count=12))
    assert (bound(overhead, 0.01), found) == ("1 %", "5.23 % [4.60, 5.94]")
