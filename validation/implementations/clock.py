"""The parent's clock against the worker's: what asking costs, and when the two do not fit."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from validation.implementations.manner import Manner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from validation.implementations.answer import BlockOutput
    from validation.implementations.manner import Asked


class Timed(Protocol):
    """A block of calls by both clocks, as `Price.agrees` takes it."""

    @property
    def calls_ns(self) -> Sequence[int]:
        """Each call's time by the worker's clock."""

    @property
    def parent_ns(self) -> int:
        """The parent's time for all of the block."""

    @property
    def hosts_ns(self) -> Sequence[int]:
        """Each call's time by the worker's host clock; empty where it is the same."""


#: Beyond twice the measured price, clocks may differ by this share of the block and by this much: the parent wakes
#: late when the host takes its core away. What a kernel may hide so in one block, `hides` finds in several.
SHARE: Final = 0.05
SLACK_NS: Final = 1_000_000

#: A quarter of the blocks of an honest kernel take no more than this many prices beside their calls: the last of that
#: quarter took 0.4 to 1.7, of three kernels on five shapes beside two compilers. On top come a share of the calls' time
#: and what the parent needs to wake up.
MOST_PRICES: Final = 2.0
_HIDDEN_SHARE: Final = 0.03
_HIDDEN_NS: Final = 100_000

#: Of fewer blocks than these, one that the host disturbed would be a quarter.
_LEAST_BLOCKS: Final = 4

#: Calls of the longer of the two dry blocks, fewer where their inputs take more bytes, and how often each is made: the
#: least of five is undisturbed. Blocks differ by 0.1 ms on a busy host: shared out over three calls that took the
#: price of one token's call (60 to 200 us) for anything down to nothing, and clocks disagreed in two blocks of three.
_MOST_CALLS, _LEAST_CALLS, _BYTES = 32, 4, 4 << 20

#: On a GPU the host waits for all streams, the events for one: beyond what lies between the two around a kernel that
#: does nothing they may differ by this much. A kernel that hides more of its work there is found out.
_GAP_SLACK_NS: Final = 20_000
_REPEATS: Final = 5

#: A host that takes a core away for 10 ms makes all five longer. The two least are to differ by less than a quarter of
#: the least; if not, more blocks are made, and no more than these.
_STEADY: Final = 1.25
_MOST_REPEATS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a block costs beside the kernel's own time: `block_ns` once and `call_ns` for every call.

    `gap_ns` lies between a GPU's time of a call and the host's, 0 on the CPU.
    """

    block_ns: int
    call_ns: int
    gap_ns: int = 0

    def of(self, calls: int) -> int:
        """Returns the price of a block of so many calls, ns."""
        return self.block_ns + self.call_ns * calls

    def agrees(self, calls_ns: Sequence[int], parent_ns: int, hosts_ns: Sequence[int] = ()) -> bool:
        """Whether the worker's times can be true: not above the parent's, nor below what the price explains.

        `hosts_ns` are the times by the worker's host clock where `calls_ns` are a GPU's: in the middle of the block
        they lie above the GPU's by no more than around a kernel that does nothing, and the slack.
        """
        excess = parent_ns - sum(hosts_ns or calls_ns)
        explained = 2 * self.of(len(calls_ns)) + SHARE * parent_ns + SLACK_NS
        if min(calls_ns, default=0) < 0 or not 0 <= excess <= explained:
            return False
        gaps = [host - call for host, call in zip(hosts_ns, calls_ns, strict=True)] if hosts_ns else [0]
        allowed = self.gap_ns + SHARE * statistics.median(calls_ns or [0]) + _GAP_SLACK_NS
        # Events tick in steps of half a microsecond, so that a call may seem longer by them than by the host.
        return -_GAP_SLACK_NS <= statistics.median(gaps) <= allowed

    def hides(self, blocks: Sequence[Timed], most_prices: float = MOST_PRICES) -> bool:
        """Whether the worker's clock leaves out, in most blocks, a share of the time that the parent sees pass.

        Of too few blocks nothing is said. A clock that is slow by a tenth is found so, where a single block could be a
        disturbed one. Blocks of fewer calls than half the most are left out: there a block's own price hides a call's.
        """
        most = max((len(block.calls_ns) for block in blocks), default=0)
        long = [block for block in blocks if 2 * len(block.calls_ns) >= most]
        if len(long) < _LEAST_BLOCKS:
            return False
        beyond = sorted(self._beyond(block, most_prices) for block in long)
        return beyond[len(beyond) // 4] > 0

    def _beyond(self, block: Timed, most_prices: float) -> float:
        """What passed beside the calls, less what may have, ns."""
        spent = sum(block.hosts_ns or block.calls_ns)
        may = most_prices * self.of(len(block.calls_ns)) + _HIDDEN_SHARE * spent + _HIDDEN_NS
        return block.parent_ns - spent - may


def measure_price(worker: Asked, x: torch.Tensor, *, queued: bool = False) -> Price:
    """Returns the price of asking, measured on blocks of no kernel, before a kernel is in the process.

    It is `queued` for kernels whose calls will be, and for no others: the host's time then holds the work they queue
    behind, and as much of a kernel's own could hide on another stream.
    """
    ask = partial(worker.call_block, manner=Manner(dry=True, queued=queued))
    # The first asking on a GPU also loads what copies and compares there.
    ask([x])
    one = min(map(_beside, repeated(partial(ask, [x]))))
    calls = max(_LEAST_CALLS, min(_MOST_CALLS, _BYTES // max(x.nbytes, 1)))
    blocks = repeated(partial(ask, [x] * calls))
    call_ns = max(0, (min(map(_beside, blocks)) - one) // (calls - 1))
    gaps = [host - call for block in blocks for host, call in zip(block.hosts_ns, block.calls_ns, strict=True)]
    return Price(block_ns=max(0, one - call_ns), call_ns=call_ns, gap_ns=max(0, round(statistics.median(gaps or [0]))))


def repeated(ask: Callable[[], BlockOutput]) -> list[BlockOutput]:
    """Returns dry blocks, as many as it takes for the least of what they take to be no accident."""
    blocks = [ask() for _ in range(_REPEATS)]
    while len(blocks) < _MOST_REPEATS:
        least, second, *_ = sorted(map(_beside, blocks))
        if second <= _STEADY * least:
            break
        blocks.append(ask())
    return blocks


def _beside(block: BlockOutput) -> int:
    """What a block took beside its calls, ns."""
    return block.parent_ns - sum(block.hosts_ns)
