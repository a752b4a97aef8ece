import pytest

from validation.claims.claim import Metric
from validation.verdicts.explain import amount, percent


@pytest.mark.parametrize(
    ("share", "text"), [(0.03, "3 %"), (0.005, "0.5 %"), (0.996, "100 %"), (1.2, "120 %"), (45.678, "4,600 %")]
)
def test_a_share_is_told_without_an_exponent(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_share_far_beyond_the_limit_is_told_without_an_exponent() -> None:
    assert amount(Metric.FLOOR_SHARE, 12.34) == "1,230 % of the hardware's limit"
