"""The memory of one worker's blocks: laid out, poisoned and filled before a block, read back and compared after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from validation.implementations import arena
from validation.implementations.answer import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import torch

    from validation.implementations.arena import CallPlaces, Place, SharedFile
    from validation.implementations.worker.frames import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """A block in memory: the places of its calls, where they end, and the bytes of each input as they were staged."""

    places: tuple[CallPlaces, ...]
    end: int
    staged: tuple[npt.NDArray[np.uint8], ...]


class BlockMemory:
    """The files that parent and worker share for calls: the arena they lie in, and inputs staged out of sight."""

    def __init__(self) -> None:
        """Takes memory when the first block comes."""
        self.arena: SharedFile | None = None
        self.staging: SharedFile | None = None
        self._last: tuple[tuple[Place, torch.Tensor], ...] = ()

    def make_room(self, end: int, staged: int) -> bool:
        """Makes both files anew where they are too small; returns whether it did, so that the worker must map them."""
        if self.arena is not None and self.staging is not None:
            if self.arena.size >= end and self.staging.size >= staged:
                return False
            self.close()
        # A quarter more: drawn addresses make the next block of the same size need a little more or less.
        self.arena = arena.SharedFile("arena", end + end // 4)
        self.staging = arena.SharedFile("staging", staged + staged // 4)
        return True

    def lay(self, inputs: Sequence[torch.Tensor], places: Sequence[CallPlaces], end: int) -> Laid:
        """Poisons everything up to `end`; no input is to be had yet."""
        assert self.arena is not None
        self._last = ()
        self.arena.words(0, end)[:] = arena.POISON
        return Laid(places=tuple(places), end=end, staged=tuple(arena.stage(x) for x in inputs))

    def stage(self, laid: Laid) -> None:
        """Puts the inputs where the worker takes them: just before its calls, lest it work ahead of every clock."""
        assert self.staging is not None
        for where, data in zip(laid.places, laid.staged, strict=True):
            self.staging.bytes(where.staged, data.size)[:] = data

    def take(self, laid: Laid) -> arena.Memory:
        """Returns a copy of the block's memory: what the calls left there, before they are told of.

        The last output comes first: had its call returned before its work was done, it is not whole yet.
        """
        assert self.arena is not None
        taken, last = bytearray(laid.end), laid.places[-1].out.offset if laid.places else 0
        shared = memoryview(self.arena.memory)
        taken[last:] = shared[last : laid.end]
        taken[:last] = shared[:last]
        return arena.Memory(taken)

    def outputs(self, laid: Laid, taken: arena.Memory, answer: Message) -> tuple[tuple[Output, ...], bool]:
        """Returns what the calls left in the memory, and whether every guard between the places held."""
        outs = [taken.read(where.out) for where in laid.places]
        times = zip(answer["calls_ns"], answer["hosts_ns"], strict=True)
        outputs = tuple(
            self._output(taken, where, data, out, (int(call_ns), int(host_ns)), told=bool(told), seen=seen)
            for where, data, out, (call_ns, host_ns), told, seen in zip(
                laid.places, laid.staged, outs, times, answer["told"], answer["seen"], strict=True
            )
        )
        self._last = tuple((where.out, output.out) for where, output in zip(laid.places, outputs, strict=True))
        gaps = (taken.words(start, stop) for start, stop in arena.gaps(laid.places, laid.end))
        return outputs, all(bool((gap == arena.POISON).all()) for gap in gaps)

    def forget(self) -> None:
        """What the last block wrote is nobody's any more."""
        self._last = ()

    def changed(self) -> bool:
        """Returns whether an output of the last block is no longer what it was when it was read."""
        if self.arena is None:
            return False
        now = ((arena.stage(self.arena.read(place)), arena.stage(out)) for place, out in self._last)
        return any(bool((found != before).any()) for found, before in now)

    def close(self) -> None:
        """Gives the memory back. Closing twice is harmless."""
        for shared in (self.arena, self.staging):
            if shared is not None:
                shared.close()
        self.arena = self.staging = None

    def _output(  # noqa: PLR0913 -- what a call was given, and what the worker told of it
        self,
        taken: arena.Memory,
        where: CallPlaces,
        data: npt.NDArray[np.uint8],
        out: torch.Tensor,
        ns: tuple[int, int],
        *,
        told: bool,
        seen: Sequence[Sequence[int]],
    ) -> Output:
        words = taken.words(where.out.offset, where.out.offset + where.out.size)
        found = taken.bytes(where.x.offset, where.x.size)
        return Output(
            out=out,
            ids=taken.read(where.ids) if told else None,
            weights=taken.read(where.weights) if told else None,
            worker_ns=ns[0],
            host_ns=ns[1],
            written=where.out.size == 0 or bool((words != arena.POISON).any()),
            x_unchanged=bool((found == data).all()),
            settled=_settled(taken, where.out, *seen),
        )


def _settled(taken: arena.Memory, out: Place, places: Sequence[int], words: Sequence[int]) -> bool:
    """Whether words of an output, looked at as its call returned, are what they were after the block."""
    first, stop = out.offset // 2, (out.offset + out.size) // 2
    if bool(places) != bool(out.size) or not all(first <= place < stop for place in places):
        return False
    then = taken.words()
    return all(int(then[place]) == word for place, word in zip(places, words, strict=True))
