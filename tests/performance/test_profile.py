import pytest

from validation.performance.profile import FULL, PROFILES, SMOKE, STANDARD, Profile
from validation.verdicts.rules import MIN_PAIRS

MS = 1_000_000


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_fast_kernel_is_called_thirty_times_or_more(profile: Profile) -> None:
    assert profile.calls_of(3 * MS) >= 30


@pytest.mark.parametrize(("profile", "calls"), [(SMOKE, 3), (STANDARD, 5), (FULL, 5)])
def test_a_slow_kernel_is_called_as_often_as_the_profile_insists(profile: Profile, calls: int) -> None:
    assert profile.calls_of(10_000 * MS) == calls


def test_between_the_two_the_budget_decides() -> None:
    assert STANDARD.calls_of(10 * MS) == 10


def test_short_calls_fill_a_block() -> None:
    assert SMOKE.calls_of(0.5 * MS) == SMOKE.block_calls(0.5 * MS) == 40


def test_a_block_holds_one_call_at_least_and_a_bounded_number_at_most() -> None:
    assert SMOKE.block_calls(1000 * MS) == 1
    assert SMOKE.block_calls(1) == 256


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_what_a_run_out_of_time_still_measures_is_enough_for_a_verdict(profile: Profile) -> None:
    assert profile.pairs >= profile.least_pairs == MIN_PAIRS
