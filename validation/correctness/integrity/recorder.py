"""What was seen of a kernel so far: every block, and what is known of its process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from validation.correctness.integrity.observation import Observation, Scene, Seen
from validation.implementations.manner import UNCLOCKED, USUAL, Manner

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from validation.correctness.integrity.answered import Answered
    from validation.implementations.implementation import Implementation
    from validation.implementations.process import Worker
    from validation.implementations.unclocked import UnclockedPrice


class Recorder:
    """Makes blocks of calls and keeps what was seen of each."""

    def __init__(self, *, implementation: Implementation, threads: int, floor_ns: float | None) -> None:
        """Has seen nothing; `fields` are those of the observation that are not of a block."""
        self.implementation = implementation
        self.fields: dict[str, Any] = {"threads": threads, "floor_ns": floor_ns}
        self.blocks: list[Seen] = []
        self.prices: dict[Scene, UnclockedPrice | None] = {}
        self.compiling: set[int] = set()
        self.unsettled = False

    def observation(self) -> Observation:
        """What was seen."""
        return Observation(
            implementation=self.implementation.name,
            blocks=tuple(self.blocks),
            compiling=frozenset(self.compiling),
            **self.fields,
        )

    def first(self, worker: Worker, scene: Scene, answered: Answered) -> None:
        """The first call on so many tokens, in which a kernel may compile itself."""
        before = len(worker.doings)
        self.block(worker, scene, answered, answered.draw(1))
        self.compiling.update(range(before, len(worker.doings)))

    def block(
        self,
        worker: Worker,
        scene: Scene,
        answered: Answered,
        rows: list[npt.NDArray[np.int64]],
        manner: Manner = USUAL,
    ) -> None:
        """Calls on these rows, one after the other, as a block; without a clock where a price of that is known.

        Raises:
            ImplementationFailed: the kernel failed; what was seen before stays.
        """
        price = self.prices.get(scene)
        inputs = [answered.bank.gather(one) for one in rows]
        made = worker.call_block(inputs, manner if price is None else UNCLOCKED)
        self.unsettled |= not all(output.settled for output in made.outputs)
        self.blocks.append(
            Seen(
                scene=scene,
                calls_ns=made.calls_ns,
                parent_ns=made.parent_ns,
                right=answered.right(rows, made.outputs),
                x_unchanged=tuple(output.x_unchanged for output in made.outputs),
                guards_held=made.guards_held,
                hosts_ns=made.hosts_ns,
                in_time=made.in_time,
                cpu_ns=made.cpu_ns,
                others_share=made.others_share,
                asking_ns=0 if price is None else price.of(made),
            )
        )
