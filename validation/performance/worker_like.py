"""What measuring asks of a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from validation.implementations.manner import Asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.implementations.answer import Prepared, Sustained
    from validation.implementations.implementation import Implementation
    from validation.implementations.mailbox import Doing
    from validation.implementations.shared_layer import SharedLayer


class WorkerLike(Asked, Protocol):
    """A worker, or what answers in tests with a made-up clock."""

    @property
    def doings(self) -> Sequence[Doing]:
        """What was reported of it so far."""

    @property
    def reports_closed(self) -> bool:
        """Whether nothing more can be reported."""

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
        """Returns the CPU time of its threads so far, and of its children."""

    def state(self) -> dict[str, str]:
        """Returns settings of the process that a kernel has no business changing."""

    def displaced(self) -> tuple[str, ...]:
        """Says how its cores, priority and scheduling differ from those that workers start with."""

    def libraries(self) -> tuple[str, ...]:
        """Says which BLAS it has loaded."""

    def close(self) -> None:
        """Ends it."""
