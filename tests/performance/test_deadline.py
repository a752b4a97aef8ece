from collections.abc import Iterator
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.performance.deadline import Deadline

COSTS = st.dictionaries(st.text(), st.lists(st.floats(0, 1e3), min_size=1, max_size=9), max_size=20)


def _at(*seconds: float) -> Iterator[float]:
    yield from seconds
    yield from repeat(seconds[-1])


def _deadline(limit_s: float, weights: list[int], *seconds: float) -> Deadline:
    clock = _at(*seconds)
    return Deadline(limit_s=limit_s, weights=weights, now=lambda: next(clock))


def test_a_process_has_its_share_of_the_time_by_its_weight() -> None:
    # Weights 1, 1, 6: a tenth of 80 s each and then 60 s.
    assert _deadline(80, [1, 1, 6], 5, 5).slack_s(0) == 10
    assert _deadline(80, [1, 1, 6], 5, 17).slack_s(1) == 8
    assert _deadline(80, [1, 1, 6], 5, 30).slack_s(1) == -5
    assert _deadline(80, [1, 1, 6], 5, 30).slack_s(2) == 55


def test_what_is_left_is_thought_to_go_on_as_before() -> None:
    # 60 s for weight 6, so 20 s for weight 2.
    assert _deadline(80, [3, 3, 1, 1], 5, 65).overrun_s(2, 4) == 0
    assert _deadline(80, [3, 3, 1, 1], 5, 68).overrun_s(2, 4) == 4
    assert _deadline(80, [3, 3, 1, 1], 5, 68).overrun_s(2, 3) == pytest.approx(-6.5)


def test_what_was_waited_is_not_waited_again_and_what_went_elsewhere_does_not_count() -> None:
    # Of 70 s 4 went elsewhere, and 6 into waiting: weight 6 takes 60 s, and so 20 s weight 2.
    late = _deadline(80, [3, 3, 1, 1], 0, 70)
    late.waited_s, late.elsewhere_s = 6, 4
    assert late.slack_s(2) == 70 - 66
    assert late.overrun_s(2, 4) == 66 + 20 - 80


def test_a_process_waits_no_longer_than_its_work_leaves_it() -> None:
    assert _deadline(80, [3, 3, 1, 1], 0, 0).patience_s(0) == 30
    # The second has 50 s left, of which it works 10; or 20 s, where it works 40.
    assert _deadline(80, [3, 3, 1, 1], 0, 10).patience_s(1) == 50 - 10
    assert _deadline(80, [3, 3, 1, 1], 0, 40).patience_s(1) == 0


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.floats(0, 1e4), COSTS)
def test_without_a_limit_there_is_always_time(weights: list[int], now: float, costs: dict[str, list[float]]) -> None:
    endless = _deadline(float("inf"), weights, 0.0, now)
    endless.costs_s.update(costs)
    for done in range(len(weights)):
        assert endless.slack_s(done) == float("inf")
        assert endless.overrun_s(max(done, 1), len(weights)) == float("-inf")
        assert endless.sits_out(max(done, 1), len(weights), dict.fromkeys(costs, 1)) == frozenset()


@given(COSTS, st.floats(2, 1e6), st.integers(0, 9))
def test_the_cheapest_never_sits_out(costs: dict[str, list[float]], now: float, left: int) -> None:
    late = _deadline(1, [1] * 10, 0.0, now)
    late.costs_s.update(costs)
    means = {name: sum(values) / len(values) for name, values in costs.items()}
    out = late.sits_out(1, 10, dict.fromkeys(costs, left))
    assert not out or min(means.values()) < min(means[name] for name in out)


@pytest.mark.parametrize(
    ("now", "out"),
    [
        # Ten processes of 10 s each. The second is late from 20 s on, and then they end in 200 s, 100 too late.
        (19, set()),
        (20, {"slow"}),
        # They would end in 250 s, 150 too late: eight times 15 s is not enough.
        (25, {"slow", "dear"}),
        # What takes less than the average of 5 s stays, and were it ever so late.
        (900, {"slow", "dear"}),
    ],
)
def test_as_many_sit_out_as_it_takes_and_the_costliest_first(now: float, out: set[str]) -> None:
    late = _deadline(100, [1] * 10, 0.0, now)
    late.costs_s.update({"fair": [2.0], "slow": [14.0, 16.0], "quick": [1.0, 1.0], "dear": [9.0], "good": [0.5, 1.5]})
    assert late.sits_out(1, 10, dict.fromkeys(late.costs_s, 8)) == out


def test_nobody_sits_out_of_processes_that_end_in_time() -> None:
    # Late for its share, but of ten processes only five must be.
    late = _deadline(100, [1] * 10, 0.0, 20)
    late.costs_s["slow"], late.costs_s["quick"] = [15.0], [1.0]
    assert late.sits_out(1, 5, {"slow": 4, "quick": 4}) == frozenset()
