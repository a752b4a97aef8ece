from collections.abc import Iterator
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.performance.deadline import Deadline


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


@pytest.mark.parametrize(("now", "holds"), [(65.0, True), (66.0, False)])
def test_what_is_left_is_thought_to_go_on_as_before(now: float, holds: bool) -> None:  # noqa: FBT001 -- a case
    # 60 s for weight 6, so 20 s for weight 2.
    assert _deadline(80, [3, 3, 1, 1], 5, now).holds(2, 2) is holds


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.floats(0, 1e4))
def test_without_a_limit_there_is_always_time(weights: list[int], now: float) -> None:
    endless = _deadline(float("inf"), weights, 0.0, now)
    for done in range(len(weights)):
        assert endless.slack_s(done) == float("inf")
        assert endless.holds(max(done, 1), 1)


@given(st.dictionaries(st.text(), st.floats(0, 1e3), max_size=20))
def test_the_cheapest_is_never_costly(spent: dict[str, float]) -> None:
    deadline = Deadline(limit_s=1, weights=[1], spent_s=dict(spent))
    assert not spent or min(spent, key=spent.__getitem__) not in deadline.costly


def test_one_of_many_that_takes_half_of_all_time_is_costly() -> None:
    spent = {"slow": 10.0} | {f"baseline {number}": 1.0 for number in range(10)}
    assert Deadline(limit_s=1, weights=[1], spent_s=spent).costly == {"slow"}
