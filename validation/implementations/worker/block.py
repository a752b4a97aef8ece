"""A block of calls: laid out, made one after the other, and told of.

The parent asks for each of the three by itself, and its clock runs over the second alone: to describe a call on one
token, make its tensors and tell of it takes 50 us, beside which nothing could be seen of what the call takes.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from . import kernel, memory
from .device import CLOCK

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    import torch

    from .device import Description, Host
    from .frames import Message
    from .graphs import Graphs

#: Words of each output that are looked at when its call returns; of an unclocked call one. Work on a quarter of the
#: tokens that is put off for a later call shows in nine calls of ten.
_LOOKED_AT = 8

#: Of the system, taken before any kernel is loaded: a kernel cannot foresee the words by seeding a generator.
_DRAWN: Callable[[int], bytes] = os.urandom
_WORD_BYTES = 8

#: Tuples: what was seen cannot be changed by a kernel that finds these frames.
_NO_TIMES: tuple[int, ...] = ()
_NO_WORDS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = ()


class Block:
    """Calls, each on an input revealed just before it."""

    def __init__(self, message: Message, device: Host, *, captures: bool) -> None:
        """Makes the tensors of the calls that `message` describes; a kernel that `captures` is called by its graphs.

        A dry block calls a kernel that does nothing: what then passes is the price of asking. A cold one empties the
        caches before each call. No call begins before it is due. An unclocked one reads no clock: its times are 0.
        """
        self.end: int = message["end"]
        self.is_dry: bool = message["dry"]
        self.made: list[Callable[[], Any]] = []
        self._message = message
        self._places = message["calls"]
        self._captures = captures and not self.is_dry
        # The price is measured with it, so that it is never less than what it has to explain.
        self._queued = captures or message["queued"]
        self._tensors = [
            tuple(device.tensor(where[name]) for name in ("x", "out", "ids", "weights")) for where in self._places
        ]
        self._answer: Message = {}

    @property
    def first(self) -> tuple[Description, torch.Tensor, torch.Tensor]:
        """Where the first call's input lies, that input, and its output."""
        return self._places[0]["x"], *self._tensors[0][:2]

    def dry_call(self, device: Host) -> tuple[Callable[[torch.Tensor, torch.Tensor], Any], bool]:
        """Returns a kernel that does nothing, and whether it fills its output.

        Of a clocked block it returns tensors, which are then copied, out of cold caches: as much work of ours as any
        kernel causes. Of an unclocked one it returns them where it is to tell a routing, and else its output.
        """
        blank = tuple(tensor.clone() for tensor in self._tensors[0][1:])
        if self._message["clocked"]:
            return kernel.caller(partial(device.disturb, blank), kernel.Form.RETURNS), False
        result = blank if self._message["tells"] else blank[0]
        return (lambda _x, _out: result), False

    def make(  # noqa: PLR0913 -- what calls are made with
        self,
        call: Callable[[torch.Tensor, torch.Tensor], Any],
        *,
        fills: bool,
        device: Host,
        arena: mmap.mmap,
        staging: int,
        graphs: Graphs,
    ) -> None:
        """Makes the calls."""
        reveal = partial(memory.read_into, staging, arena)
        if self._message["clocked"]:
            self._make(call, reveal, graphs, device, fills=fills)
        else:
            self._make_unclocked(call, reveal, device, fills=fills)

    def told(self) -> Message:
        """Returns what is told of the calls that were made."""
        return self._answer

    def _make(
        self,
        call: Callable[[torch.Tensor, torch.Tensor], Any],
        reveal: Callable[[int, int, int], None],
        graphs: Graphs,
        device: Host,
        *,
        fills: bool,
    ) -> None:
        told: list[bool] = []
        calls_ns, hosts_ns, ends_ns, seen = _NO_TIMES, _NO_TIMES, _NO_TIMES, _NO_WORDS
        places = self._places
        due = self._message["due_ns"] or [0] * len(places)
        began = CLOCK()
        for where, (x, out, ids, weights), due_ns in zip(places, self._tensors, due, strict=True):
            while (early_ns := began + due_ns - CLOCK()) > 0:
                time.sleep(early_ns / 1e9)
            if self._captures:
                made = graphs.capture(call, x, out)
                device.poison(where["out"])
            else:
                made = partial(call, x, out)
            reveal(where["x"]["offset"], where["x"]["bytes"], where["x"]["staged"])
            device.revealed(where["x"])
            if self._message["cold"]:
                device.flush()
            # By its class, whose functions are looked at afterwards: an attribute of the object may be a kernel's.
            result, call_ns, host_ns = type(device).time(device, made, queued=self._queued)
            told.append(kernel.deliver(result, out, ids, weights, fills=fills))
            ends_ns += (CLOCK() - began,)
            seen += (_seen(device, where["out"], _LOOKED_AT),)
            self.made.append(made)
            freeing_ns = 0
            if result is not None:
                # What a call returned has to be let go of: in memory of 32 MB that torch.compile used again for its
                # output that took 4 ms beside 60, which nobody else's clock explains.
                freeing = CLOCK()
                del result
                freeing_ns = CLOCK() - freeing
            own_ns = freeing_ns if device.name == "cpu" else 0
            calls_ns += (call_ns + own_ns,)
            hosts_ns += (host_ns + own_ns,)
        times = {"began_ns": began, "calls_ns": calls_ns, "hosts_ns": hosts_ns, "ends_ns": ends_ns}
        self._answer = {**times, "told": told, "seen": seen}

    def _make_unclocked(
        self,
        call: Callable[[torch.Tensor, torch.Tensor], Any],
        reveal: Callable[[int, int, int], None],
        device: Host,
        *,
        fills: bool,
    ) -> None:
        """On a CPU only, where a call is over when it returns."""
        told: list[bool] = []
        seen = _NO_WORDS
        for where, (x, out, ids, weights) in zip(self._places, self._tensors, strict=True):
            reveal(where["x"]["offset"], where["x"]["bytes"], where["x"]["staged"])
            result = call(x, out)
            given = result is not None or not fills
            told.append(given and kernel.deliver(result, out, ids, weights, fills=fills))
            # Work put off until more tokens have come would be worth it: weights are read once for all of them.
            seen += (_seen(device, where["out"], 1),)
            del result
        none = (0,) * len(self._places)
        self._answer = {"began_ns": CLOCK(), "calls_ns": none, "hosts_ns": none, "ends_ns": (), "told": told}
        self._answer["seen"] = seen


def _seen(device: Host, out: Description, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Places of some 16-bit words of an output, which nobody can foresee, and what stands there now.

    Places count words from the memory's beginning.
    """
    words, first = out["bytes"] // 2, out["offset"] // 2
    if words == 0:
        return (), ()
    drawn = _DRAWN(_WORD_BYTES * count)
    places = [
        first + int.from_bytes(drawn[at : at + _WORD_BYTES], "little") % words
        for at in range(0, len(drawn), _WORD_BYTES)
    ]
    return tuple(places), tuple(device.words(places))
