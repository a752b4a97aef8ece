"""Which baseline a reading is judged against, and when a win over it counts."""

import pytest

from tests.verdicts.judging import finding, reading
from validation.verdicts.reasons import Reason
from validation.verdicts.verdict import Verdict


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("strongest", "torch_onednn_prepacked"),
        ("strongest:numpy", "numpy_grouped"),
        ("numpy_per_token", "numpy_per_token"),
    ],
)
def test_the_strongest_baseline_is_computed_from_what_was_measured(asked: str, got: str) -> None:
    assert finding(reading(1.1, baseline=asked)).baseline == got


def test_a_win_over_a_weak_baseline_is_called_that() -> None:
    found = finding(reading(5, baseline="numpy_per_token"))
    assert (found.verdict, found.reason) == (Verdict.CONFIRMED_WEAK_BASELINE, Reason.STRONGER_BASELINE)
    assert "torch_onednn_prepacked is a stronger baseline" in found.explanation


def test_a_win_over_a_weak_baseline_that_holds_over_the_strongest_too_is_a_win() -> None:
    assert finding(reading(1.1, baseline="numpy_per_token")).verdict is Verdict.CONFIRMED


def test_the_strongest_of_a_family_is_never_weak() -> None:
    assert finding(reading(1.4, baseline="strongest:numpy")).verdict is Verdict.CONFIRMED


def test_a_baseline_may_be_what_a_claim_is_about() -> None:
    found = finding(reading(5, candidate="numpy_grouped", baseline="strongest:numpy"))
    assert (found.candidate, found.verdict) == ("numpy_grouped", Verdict.CONFIRMED)
    assert found.baseline == "numpy_per_token"
    assert found.estimate == pytest.approx(5.0, rel=0.03)
