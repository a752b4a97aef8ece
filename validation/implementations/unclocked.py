"""Calls between which no clock is read: what each took, by the clock of the parent, which times them together.

To ask for a call that is timed alone takes as long as a call on few tokens, and what lies between the two clocks there
could be the call. Of these calls nothing is told but that they were made: 6 to 40 us lie beside each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from validation.implementations.clock import repeated
from validation.implementations.manner import Manner

if TYPE_CHECKING:
    import torch

    from validation.implementations.answer import BlockOutput
    from validation.implementations.manner import Asked

#: Longer calls are held against the parent's clock as they are: asking takes a fiftieth of them.
SHORT_NS: Final = 5_000_000

#: Calls of a block, and the time that they may take together; their inputs take no more bytes than this. What a block
#: costs once (0.3 ms, a third up or down) is then 1 us of a call of 20 us, and a fiftieth of longer ones. Of the price
#: fewer calls tell enough: of several blocks the least counts, and those are 20 us apart.
_CALLS: Final = (4, 128)
_BLOCK_NS: Final = 5_000_000
_BYTES: Final = 1 << 20
_PRICED_CALLS: Final = 64

#: Such blocks are made, each right behind one of as many calls that are timed. Once awake, both are as long: behind a
#: pause the first calls take three times as long as the last, and of fewer calls those are more.
PAIRS: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclockedPrice:
    """What such a block costs once, and of each call: of one that tells its routing, which is copied, and of others.

    Both return their output, which is copied too. One that fills it is so allowed a few us that it does not take.
    """

    block_ns: int
    telling_ns: int
    other_ns: int

    def of(self, block: BlockOutput) -> int:
        """Returns what `block` cost beside its calls, ns."""
        told = sum(output.ids is not None for output in block.outputs)
        return self.block_ns + self.telling_ns * told + self.other_ns * (len(block.outputs) - told)


def calls_of(x: torch.Tensor, call_ns: float = 0.0) -> int:
    """Returns how many calls of `call_ns` on inputs like `x` make a block; 0 where `x` is too large, or they too long.

    Without `call_ns` as many as there may be.
    """
    least, most = _CALLS
    room = _BYTES // max(x.nbytes, 1)
    if room < least or call_ns > SHORT_NS:
        return 0
    return max(least, min(most, room, int(_BLOCK_NS / max(call_ns, 1.0))))


def measure_unclocked_price(worker: Asked, x: torch.Tensor) -> UnclockedPrice | None:
    """Returns the price, measured on blocks of no kernel before one is in the process; None where `x` is too large."""
    calls = min(calls_of(x), _PRICED_CALLS)
    if not calls:
        return None
    (_, telling_ns), (block_ns, other_ns) = (_price(worker, x, calls, tells=tells) for tells in (True, False))
    return UnclockedPrice(block_ns=block_ns, telling_ns=telling_ns, other_ns=other_ns)


def _price(worker: Asked, x: torch.Tensor, calls: int, *, tells: bool) -> tuple[int, int]:
    """What a block costs once, and of each of its calls, ns."""
    ask = partial(worker.call_block, manner=Manner(dry=True, clocked=False, tells=tells))
    one, many = (min(block.parent_ns for block in repeated(partial(ask, [x] * count))) for count in (1, calls))
    call_ns = max(0, (many - one) // (calls - 1))
    return max(0, one - call_ns), call_ns
