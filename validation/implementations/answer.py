"""What a worker answers: what a prepare took, what a call gave, and a block of calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `prepare` took: time by the worker's clock, and growth of its memory: the GPU's, or the resident."""

    prepare_ns: int
    prepare_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One call: `out` [T, d], perhaps the routing `ids` int64 [T, k] and `weights` float64 [T, k], and its time.

    On a GPU `worker_ns` is the time between events, `host_ns` that by the worker's host clock until the GPU was idle.
    `written` is false when `out` still held nothing but the poison of before the call, `settled` when some of it was
    not, as the call returned, what it was after the block. `x_unchanged` is false when the input was found altered
    after the block.
    """

    out: torch.Tensor
    ids: torch.Tensor | None
    weights: torch.Tensor | None
    worker_ns: int
    written: bool
    x_unchanged: bool
    settled: bool = True
    host_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOutput:
    """A block of calls: the parent's time for all of it, and whether every guard around its tensors held.

    `ends_ns` says of each timed call when its result was where the parent reads it, by the worker's clock from the
    block's beginning on; `in_time` that it began after the parent had asked, and ended before the answer came: both
    read one clock of the machine's. `cpu_ns` is the CPU time that the worker used meanwhile, with all its threads
    and the processes it started; `others_share` is that of other processes, over the time of all cores.
    """

    outputs: tuple[Output, ...]
    parent_ns: int
    guards_held: bool
    ends_ns: tuple[int, ...] = ()
    in_time: bool = True
    cpu_ns: int = 0
    others_share: float = 0.0

    @property
    def calls_ns(self) -> tuple[int, ...]:
        """Each call's time by the worker's clock."""
        return tuple(output.worker_ns for output in self.outputs)

    @property
    def hosts_ns(self) -> tuple[int, ...]:
        """Each call's time by the worker's host clock; on the CPU the same."""
        return tuple(one.worker_ns if one.host_ns is None else one.host_ns for one in self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sustained:
    """Calls made without a pause, and the parent's time for all of them."""

    calls: int
    parent_ns: int
