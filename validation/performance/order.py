"""The drawn order of processes, and of baselines within theirs."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from validation.performance.sample import Role

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One process to start: its round (0 is discarded), its place in the round, and the baselines in their order.

    `baselines` is empty unless the role is BASELINES. On the `host` run those a GPU is compared with across devices.
    """

    round: int
    position: int
    role: Role
    baselines: tuple[str, ...] = ()
    host: bool = False

    @property
    def discarded(self) -> bool:
        """Whether the process belongs to the round that only warms the machine."""
        return self.round == 0


def draw_order(
    pairs: int,
    baselines: Sequence[str],
    seed: int,
    host: Sequence[str] = (),
) -> tuple[Turn, ...]:
    """Returns the turns of the discarded round and of `pairs` rounds.

    Baselines named as `host` have a process of their own, with a turn in every round like the others'.

    Rounds come in twos: an order drawn at random, and the same backwards, one of them drawn to be first. So over an
    even number of rounds every role stands before every other one exactly as often as after it, and every baseline
    likewise: a drift in time falls on both alike.
    """
    draw = random.Random(seed)
    # The candidate, itself again, and each group of baselines that shares a process.
    slots: tuple[tuple[Role, Sequence[str] | None], ...] = (
        (Role.CANDIDATE, None),
        (Role.CANDIDATE_AGAIN, None),
        *((Role.BASELINES, group) for group in (baselines, host) if group),
    )
    slot_orders = [slots, *_balanced(slots, pairs, draw)]
    name_orders = [tuple(baselines), *_balanced(tuple(baselines), pairs, draw)]
    host_orders = [tuple(host), *_balanced(tuple(host), pairs, draw)]
    return tuple(
        Turn(
            round=number,
            position=position,
            role=role,
            baselines=() if group is None else hosts if group is host else names,
            host=group is not None and group is host,
        )
        for number, (order, names, hosts) in enumerate(zip(slot_orders, name_orders, host_orders, strict=True))
        for position, (role, group) in enumerate(order)
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
