"""What a worker may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a worker may take: seconds for one request (a prepare, calls; five times as many for a load) and bytes.

    The bytes are those beyond its start-up.

    `memory_bytes` counts writable private memory, the copy-on-write map of the weights included.
    """

    seconds: float = 120.0
    memory_bytes: int = 8 << 30
