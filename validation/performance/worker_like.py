"""What measuring asks of a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from validation.implementations.manner import Asked

if TYPE_CHECKING:
    from validation.implementations.answer import Prepared, Sustained
    from validation.implementations.implementation import Implementation
    from validation.implementations.shared_layer import SharedLayer


class WorkerLike(Asked, Protocol):
    """A worker, or what answers in tests with a made-up clock."""

    def start(self) -> None:
        """Waits until the process is ready."""

    def load(self, implementation: Implementation) -> str:
        """Runs the implementation's file."""

    def prepare(self, layer: SharedLayer) -> Prepared:
        """Hands it the layer."""

    def sustain(self, seconds: float) -> Sustained:
        """Makes the last block's calls again and again."""

    def settle(self) -> None:
        """Waits until its threads sleep."""

    def cpu_ns(self) -> int:
        """Returns the CPU time of its threads so far."""

    def libraries(self) -> tuple[str, ...]:
        """Says which BLAS it has loaded."""

    def close(self) -> None:
        """Ends it."""
