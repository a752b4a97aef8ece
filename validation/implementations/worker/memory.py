"""Shared memory as the worker sees it: what the parent mapped, and how much more may be had."""

from __future__ import annotations

import mmap
import os
import resource


def map_private(descriptor: int, size: int) -> mmap.mmap:
    """Returns a copy-on-write map: a kernel that scribbles over the weights spoils its own copy alone."""
    return mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)


def map_shared(descriptor: int, size: int) -> mmap.mmap:
    """Returns a map the parent shares, its pages touched now rather than inside a timed call."""
    return mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)


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
