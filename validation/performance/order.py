"""The drawn order of processes, and of baselines within theirs."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from validation.performance.sample import Role

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One process to start: its round (0 is discarded), its place in the round, and the baselines in their order.

    `baselines` is empty unless the role is BASELINES.
    """

    round: int
    position: int
    role: Role
    baselines: tuple[str, ...] = ()

    @property
    def discarded(self) -> bool:
        """Whether the process belongs to the round that only warms the machine."""
        return self.round == 0


def draw_order(
    pairs: int, baselines: Sequence[str], seed: int, most: Mapping[str, int] | None = None
) -> tuple[Turn, ...]:
    """Returns the turns of the discarded round and of `pairs` rounds.

    A baseline that `most` names takes part in so many rounds, the first ones, and in the discarded one.

    Rounds come in twos: an order drawn at random, and the same backwards, one of them drawn to be first. So over an
    even number of rounds every role stands before every other one exactly as often as after it, and every baseline
    likewise: a drift in time falls on both alike.
    """
    draw, limits = random.Random(seed), most or {}
    roles: tuple[Role, ...] = tuple(Role) if baselines else (Role.CANDIDATE, Role.CANDIDATE_AGAIN)
    role_orders = [tuple(roles), *_balanced(roles, pairs, draw)]
    name_orders = [tuple(baselines), *_balanced(tuple(baselines), pairs, draw)]
    return tuple(
        Turn(
            round=number,
            position=position,
            role=role,
            baselines=tuple(n for n in names if number <= limits.get(n, pairs)) if role is Role.BASELINES else (),
        )
        for number, (order, names) in enumerate(zip(role_orders, name_orders, strict=True))
        for position, role in enumerate(order)
    )


def _balanced(things: tuple[_T, ...], rounds: int, draw: random.Random) -> list[tuple[_T, ...]]:
    """Orders for `rounds` rounds, each drawn one followed or preceded by its reverse."""
    orders: list[tuple[_T, ...]] = []
    while len(orders) < rounds:
        forwards = tuple(draw.sample(things, len(things)))
        block = [forwards, forwards[::-1]]
        draw.shuffle(block)
        orders += block
    return orders[:rounds]
