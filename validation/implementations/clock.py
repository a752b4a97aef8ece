"""The parent's clock against the worker's: what asking costs, and when the two do not fit."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from validation.implementations.answer import BlockOutput


class Asked(Protocol):
    """What the price is measured on: a worker."""

    def call_block(self, inputs: Sequence[torch.Tensor], *, dry: bool = False, queued: bool = False) -> BlockOutput:
        """Makes one call on each input, of no kernel when `dry`; `queued`, behind a GPU at work."""


#: Beyond twice the measured price, clocks may differ by this share of the block and by this much: the parent wakes
#: late when the host takes its core away. A kernel that hides 5 % of its time stays within delta, which is 5 % too.
SHARE: Final = 0.05
SLACK_NS: Final = 1_000_000

#: Calls of the longer of the two dry blocks, fewer where their inputs take more bytes, and how often each is made: the
#: least of three is undisturbed. Blocks differ by 0.1 ms on a busy host: shared out over three calls that took the
#: price of one token's call (60 to 200 us) for anything down to nothing, and clocks disagreed in two blocks of three.
_MOST_CALLS, _LEAST_CALLS, _BYTES = 32, 4, 4 << 20

#: On a GPU the host waits for all streams, the events for one: beyond what lies between the two around a kernel that
#: does nothing they may differ by this much. A kernel that hides more of its work there is found out.
_GAP_SLACK_NS: Final = 20_000
_REPEATS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a block costs beside the kernel's own time: `block_ns` once and `call_ns` for every call.

    `gap_ns` lies between a GPU's time of a call and the host's, 0 on the CPU.
    """

    block_ns: int
    call_ns: int
    gap_ns: int = 0

    def agrees(self, calls_ns: Sequence[int], parent_ns: int, hosts_ns: Sequence[int] = ()) -> bool:
        """Whether the worker's times can be true: not above the parent's, nor below what the price explains.

        `hosts_ns` are the times by the worker's host clock where `calls_ns` are a GPU's: in the middle of the block
        they lie above the GPU's by no more than around a kernel that does nothing, and the slack.
        """
        excess = parent_ns - sum(hosts_ns or calls_ns)
        explained = 2 * (self.block_ns + self.call_ns * len(calls_ns)) + SHARE * parent_ns + SLACK_NS
        if min(calls_ns, default=0) < 0 or not 0 <= excess <= explained:
            return False
        gaps = [host - call for host, call in zip(hosts_ns, calls_ns, strict=True)] if hosts_ns else [0]
        allowed = self.gap_ns + SHARE * statistics.median(calls_ns or [0]) + _GAP_SLACK_NS
        # Events tick in steps of half a microsecond, so that a call may seem longer by them than by the host.
        return -_GAP_SLACK_NS <= statistics.median(gaps) <= allowed


def measure_price(worker: Asked, x: torch.Tensor, *, queued: bool = False) -> Price:
    """Returns the price of asking, measured on blocks of no kernel, before a kernel is in the process.

    It is `queued` for kernels whose calls will be, and for no others: the host's time then holds the work they queue
    behind, and as much of a kernel's own could hide on another stream.
    """
    ask = partial(worker.call_block, dry=True, queued=True) if queued else partial(worker.call_block, dry=True)
    # The first asking on a GPU also loads what copies and compares there.
    ask([x])
    one = min(ask([x]).parent_ns for _ in range(_REPEATS))
    calls = max(_LEAST_CALLS, min(_MOST_CALLS, _BYTES // max(x.nbytes, 1)))
    blocks = [ask([x] * calls) for _ in range(_REPEATS)]
    many = min(block.parent_ns for block in blocks)
    gaps = [host - call for block in blocks for host, call in zip(block.hosts_ns, block.calls_ns, strict=True)]
    return Price(
        block_ns=one, call_ns=max(0, (many - one) // (calls - 1)), gap_ns=max(0, round(statistics.median(gaps or [0])))
    )
