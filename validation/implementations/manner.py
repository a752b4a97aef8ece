"""How the calls of a block are made, and who is asked for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from validation.implementations.answer import BlockOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """One way of making calls.

    Dry ones call no kernel: the parent's time is the price of asking. `queued` ones find a GPU at work, as calls of
    captured kernels do; before `cold` ones its cache is emptied. Between calls that are not `clocked`, on a CPU only,
    no clock is read, and their times are 0; dry, they tell a routing (`tells`) or do not. With `due_ns` an input is
    revealed and its call made no sooner than so long after the block began.

    Without `draw_addresses` the block lies where the last such block of its shape lay, as that of a captured kernel
    always does: a graph holds addresses.
    """

    dry: bool = False
    queued: bool = False
    cold: bool = False
    clocked: bool = True
    tells: bool = True
    due_ns: tuple[int, ...] = ()
    draw_addresses: bool = True


#: As a timed process makes them.
USUAL: Final = Manner()

UNCLOCKED: Final = Manner(clocked=False)
COLD: Final = Manner(cold=True)
SAME_ADDRESSES: Final = Manner(draw_addresses=False)


class Asked(Protocol):
    """A worker, or what answers in its place."""

    def call_block(self, inputs: Sequence[torch.Tensor], manner: Manner = USUAL) -> BlockOutput:
        """Makes one call on each input, in turn."""
