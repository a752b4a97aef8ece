"""The parent's clock against the worker's: what asking costs, and when the two do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from validation.implementations.process import BlockOutput


class Asked(Protocol):
    """What the price is measured on: a worker."""

    def call_block(self, inputs: Sequence[torch.Tensor], *, dry: bool = False) -> BlockOutput:
        """Makes one call on each input, of no kernel when `dry`."""


#: Beyond twice the measured price, clocks may differ by this share of the block and by this much: the parent wakes
#: late when the host takes its core away. A kernel that hides 5 % of its time stays within delta, which is 5 % too.
SHARE: Final = 0.05
SLACK_NS: Final = 1_000_000

#: Calls of the longer of the two dry blocks, and how often each is made: the least of three is undisturbed.
_CALLS: Final = 4
_REPEATS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a block costs beside the kernel's own time: `block_ns` once and `call_ns` for every call."""

    block_ns: int
    call_ns: int

    def agrees(self, calls_ns: Sequence[int], parent_ns: int) -> bool:
        """Whether the worker's times can be true: not above the parent's, nor below what the price explains."""
        excess = parent_ns - sum(calls_ns)
        explained = 2 * (self.block_ns + self.call_ns * len(calls_ns)) + SHARE * parent_ns + SLACK_NS
        return min(calls_ns, default=0) >= 0 and 0 <= excess <= explained


def measure_price(worker: Asked, x: torch.Tensor) -> Price:
    """Returns the price of asking, measured on blocks of no kernel, before a kernel is in the process."""
    one = min(worker.call_block([x], dry=True).parent_ns for _ in range(_REPEATS))
    many = min(worker.call_block([x] * _CALLS, dry=True).parent_ns for _ in range(_REPEATS))
    return Price(block_ns=one, call_ns=max(0, (many - one) // (_CALLS - 1)))
