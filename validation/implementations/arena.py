"""The memory of a block of calls: where each input, output and routing lies, and the guards between them."""

from __future__ import annotations

import mmap
import os
import random
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

#: A NaN in float16, bfloat16, float32 and float64 alike; fills every output and every guard before a block.
POISON: Final = 0x7FFD

#: A guard on each side of everything a kernel may touch: an overrun by a row of 1024 float32 is seen.
GUARD_BYTES: Final = 4096

#: Cache lines are the grain of addresses; where in its page a tensor starts is drawn for every call.
_LINE: Final = 64
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A tensor's place in the arena: first byte, length, shape, dtype, and strides where it is not contiguous."""

    offset: int
    size: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    strides: tuple[int, ...] | None = None

    def described(self) -> dict[str, Any]:
        """Returns the place as the worker is told it."""
        dtype = str(self.dtype).partition(".")[2]
        told: dict[str, Any] = {"offset": self.offset, "bytes": self.size, "shape": self.shape, "dtype": dtype}
        return told if self.strides is None else {**told, "strides": self.strides}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlaces:
    """The places of one call: `staged` is where its input waits in the staging file."""

    x: Place
    out: Place
    ids: Place
    weights: Place
    staged: int

    def described(self) -> dict[str, Any]:
        """Returns the places as the worker is told them."""
        told = {name: getattr(self, name).described() for name in ("x", "out", "ids", "weights")}
        told["x"] |= {"staged": self.staged}
        return told


class Memory:
    """Bytes that tensors lie in."""

    def __init__(self, memory: mmap.mmap | bytearray) -> None:
        """Holds `memory`, of which nothing is copied."""
        self.memory = memory
        self.size = len(memory)

    def words(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.uint16]:
        """Returns bytes `start` to `stop` as 16-bit words, a view."""
        stop = self.size if stop is None else stop
        return np.frombuffer(self.memory, np.uint16, count=(stop - start) // 2, offset=start)

    def bytes(self, start: int, count: int) -> npt.NDArray[np.uint8]:
        """Returns `count` bytes from `start`, a view."""
        return np.frombuffer(self.memory, np.uint8, count=count, offset=start)

    def read(self, place: Place) -> torch.Tensor:
        """Returns a copy of the tensor at `place`."""
        if place.size == 0:
            return torch.empty(place.shape, dtype=place.dtype)
        copied = bytearray(memoryview(self.memory)[place.offset : place.offset + place.size])
        return torch.frombuffer(copied, dtype=place.dtype).view(place.shape)


class SharedFile(Memory):
    """An anonymous file in memory: gone when the last process that has it open is."""

    def __init__(self, name: str, size: int) -> None:
        """Makes a file of `size` bytes (at least a page), mapped here for reading and writing."""
        bytes_ = max(size, _PAGE)
        self.descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, bytes_)
        super().__init__(mmap.mmap(self.descriptor, bytes_))

    def close(self) -> None:
        """Gives the file back; the map goes when the last view of it does."""
        os.close(self.descriptor)


def plan(
    inputs: Sequence[torch.Tensor],
    out_shape: Sequence[tuple[int, int]],
    top_k: int,
    dtype: torch.dtype,
    *,
    draw_addresses: bool = True,
) -> tuple[list[CallPlaces], int, int]:
    """Returns the places of a block's calls, and the bytes of arena and staging file they need.

    With `draw_addresses` every call's tensors start somewhere else than those of the block before; without, at the
    same addresses again.
    """
    places, at, staged = [], GUARD_BYTES, 0

    def place(
        shape: tuple[int, ...], dtype: torch.dtype, strides: tuple[int, ...] | None = None, off_line: int = 0
    ) -> Place:
        nonlocal at
        count = prod(shape)
        if strides is not None and count:
            count = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        offset = at + _LINE * (random.randrange(_PAGE // _LINE) if draw_addresses else 0) + off_line
        size = count * dtype.itemsize
        at = _aligned(offset + size) + GUARD_BYTES
        return Place(offset=offset, size=size, shape=shape, dtype=dtype, strides=strides)

    for x, shape in zip(inputs, out_shape, strict=True):
        strides = None if x.is_contiguous() else tuple(x.stride())
        routing = (shape[0], top_k)
        call = CallPlaces(
            # An input that begins inside a cache line does so there too.
            x=place(tuple(x.shape), x.dtype, strides, x.data_ptr() % _LINE),
            out=place(shape, dtype),
            ids=place(routing, torch.int64),
            weights=place(routing, torch.float64),
            staged=staged,
        )
        staged += _aligned(call.x.size)
        places.append(call)
    return places, at, staged


def gaps(places: Sequence[CallPlaces], end: int) -> Iterator[tuple[int, int]]:
    """Yields the stretches between the places: nobody may write there."""
    at = 0
    for call in places:
        for place in (call.x, call.out, call.ids, call.weights):
            # A 16-bit word that a tensor of odd length ends in does not exist: every dtype has 2 bytes or more.
            yield at, place.offset
            at = place.offset + place.size
    yield at, end


def stage(x: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Returns the bytes of `x` as they lie in memory, from its first element to its last."""
    if x.numel() == 0:
        return np.empty(0, np.uint8)
    span = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    flat = x.detach().as_strided((span,), (1,))
    return np.asarray(flat.view(torch.uint8).numpy())


def _aligned(offset: int) -> int:
    return -(-offset // _PAGE) * _PAGE
