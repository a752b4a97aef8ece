"""Shared memory as the worker sees it: weights, inputs and outputs as tensors over what the parent mapped."""

from __future__ import annotations

import mmap
import os
import resource
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Where torch is: this file must be importable without it.
Description = dict[str, Any]


def map_private(descriptor: int, size: int) -> mmap.mmap:
    """Returns a copy-on-write map: a kernel that scribbles over the weights spoils its own copy alone."""
    return mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)


def map_shared(descriptor: int, size: int) -> mmap.mmap:
    """Returns a map the parent shares, its pages touched now rather than inside a timed call."""
    return mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)


def tensor_at(memory: mmap.mmap, description: Description) -> torch.Tensor:
    """Returns the tensor that `description` (offset, shape, dtype, maybe strides) places in `memory`."""
    import torch  # noqa: PLC0415 -- a worker that never gets a layer never loads it

    dtype, shape, offset = getattr(torch, description["dtype"]), description["shape"], description["offset"]
    strides = description.get("strides")
    count = prod(shape) if strides is None else _span(shape, strides)
    if count == 0 or prod(shape) == 0:
        return torch.empty(shape, dtype=dtype)
    flat = torch.frombuffer(memory, dtype=dtype, count=count, offset=offset)
    return flat.view(shape) if strides is None else flat.as_strided(shape, strides)


def read_into(staging: int, memory: mmap.mmap, offset: int, size: int, source: int) -> None:
    """Copies one input from the staging file, which is mapped nowhere here, to where the kernel will see it.

    So an input cannot be looked at, let alone worked on, before its own call.
    """
    view = memoryview(memory)[offset : offset + size]
    while view:
        count = os.preadv(staging, [view], source)
        view, source = view[count:], source + count


def limit_memory(extra_bytes: int) -> None:
    """From now on private writable memory may grow by `extra_bytes`; beyond that an allocation fails.

    RLIMIT_DATA counts what is really writable (Linux 4.7); RLIMIT_AS would count torch's reservations.
    """
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 -- as plain as it can be
        held = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + extra_bytes, held + extra_bytes))


def _span(shape: list[int], strides: list[int]) -> int:
    """Elements between the first and the last of a strided view, both included."""
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
