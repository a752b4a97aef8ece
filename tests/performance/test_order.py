from itertools import combinations

import pytest

from validation.performance.order import Turn, draw_order
from validation.performance.sample import Role

NAMES = ("a", "b", "c")


def before(turns: list[Turn], first: Role, second: Role) -> int:
    """In how many of the counted rounds `first` stands before `second`."""
    places = {(turn.round, turn.role): turn.position for turn in turns if not turn.discarded}
    rounds = {number for number, _role in places}
    return sum(places[number, first] < places[number, second] for number in rounds)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pairs", [12, 20])
def test_every_role_stands_before_every_other_as_often_as_after_it(pairs: int, seed: int) -> None:
    turns = list(draw_order(pairs, NAMES, seed))
    assert all(before(turns, first, second) == pairs // 2 for first, second in combinations(Role, 2))


@pytest.mark.parametrize("seed", range(5))
def test_an_odd_number_of_rounds_is_balanced_but_for_one(seed: int) -> None:
    turns = list(draw_order(5, NAMES, seed))
    assert all(before(turns, first, second) in {2, 3} for first, second in combinations(Role, 2))


def test_every_baseline_stands_before_every_other_as_often_as_after_it() -> None:
    orders = [turn.baselines for turn in draw_order(12, NAMES, 3) if turn.baselines and not turn.discarded]
    for first, second in combinations(NAMES, 2):
        assert sum(order.index(first) < order.index(second) for order in orders) == 6


def test_one_round_more_than_the_pairs_is_discarded() -> None:
    turns = draw_order(5, NAMES, 0)
    assert [turn.round for turn in turns if turn.discarded] == [0, 0, 0]
    assert max(turn.round for turn in turns) == 5


def test_the_order_is_drawn_by_the_seed() -> None:
    assert draw_order(12, NAMES, 1) == draw_order(12, NAMES, 1)
    assert draw_order(12, NAMES, 1) != draw_order(12, NAMES, 2)


def test_without_baselines_only_the_null_is_measured() -> None:
    assert {turn.role for turn in draw_order(5, (), 0)} == {Role.CANDIDATE, Role.CANDIDATE_AGAIN}


def test_baselines_of_the_host_have_a_process_of_their_own_in_every_round() -> None:
    turns = draw_order(4, NAMES, 0, host=("numpy",))
    hosts = [turn for turn in turns if turn.host]
    assert [turn.round for turn in hosts] == [0, 1, 2, 3, 4]
    assert all(turn.baselines == ("numpy",) and turn.role is Role.BASELINES for turn in hosts)


def test_the_hosts_process_stands_before_the_candidates_as_often_as_after_it() -> None:
    turns = [turn for turn in draw_order(12, NAMES, 3, host=("numpy",)) if not turn.discarded]
    host = {turn.round: turn.position for turn in turns if turn.host}
    candidate = {turn.round: turn.position for turn in turns if turn.role is Role.CANDIDATE}
    assert sum(host[number] < candidate[number] for number in host) == 6
