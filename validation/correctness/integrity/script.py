"""The scripted run: one process, every scene, every output checked."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.correctness.integrity.observation import Observation, Scene, Seen
from validation.implementations.clock import measure_price
from validation.implementations.failure import ImplementationFailed
from validation.implementations.process import Limits, Worker
from validation.workloads.inputs import TokenBank, make_layer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from validation.correctness.expected import Expected
    from validation.implementations.implementation import Implementation
    from validation.workloads.layer import Layer
    from validation.workloads.workload import Workload

#: Calls of a block, and blocks of a scene that is timed: the fastest of 16 calls is undisturbed by the host.
_CALLS: Final = 8
_BLOCKS: Final = 2

#: Single calls blocks of the last scene: a kernel that is honest for its first 100 calls is caught.
_MANY: Final = 8

#: OpenMP's and BLAS's threads spin for some ms after a call; after this they sleep.
_GRACE_S: Final = 0.06
_WATCH_S: Final = 0.1


def observe(
    implementation: Implementation,
    workload: Workload,
    *,
    threads: int,
    floor_ns: float | None = None,
    limits: Limits | None = None,
) -> Observation:
    """Runs the kernel through every scene and returns what was seen; whatever it does ends in the observation.

    Most tokens are drawn from a seed made up now, so that no answer to them can have been prepared. The published
    seed's tokens come too: they must not be any faster.
    """
    device = workload.layer.device
    drawn = replace(workload, seed=secrets.randbelow(1 << 31))
    layer = make_layer(workload.layer, workload.seed)
    known, fresh = TokenBank.draw(workload), TokenBank.draw(drawn)
    seen = _Script(implementation=implementation, threads=threads, floor_ns=floor_ns)
    with Worker(
        threads=threads, environment=implementation.environment, limits=limits or Limits(), device=device
    ) as worker:
        try:
            seen.play(worker, layer, _Answered(known, layer), _Answered(fresh, layer))
        except ImplementationFailed as failure:
            seen.ended = str(failure)
        seen.doings, seen.reports_closed = worker.doings, worker.reports_closed
    return seen.observation()


class _Answered:
    """A bank with its answers."""

    def __init__(self, bank: TokenBank, layer: Layer) -> None:
        self.bank = bank
        self._expected: Expected = expect(layer, bank.tokens)
        self._calls = count()

    def draw(self) -> npt.NDArray[np.int64]:
        """Rows [T] no call had before."""
        return self.bank.rows("integrity", call=next(self._calls))

    def right(self, rows: npt.NDArray[np.int64], output: Any) -> bool:  # noqa: ANN401 -- an Output
        """Whether an output is that of these rows."""
        return bool(
            output.written and compare(self._expected.rows(rows), output.out, output.ids, output.weights).passed
        )


class _Script:
    """Plays the scenes and keeps what was seen so far."""

    def __init__(self, *, implementation: Implementation, threads: int, floor_ns: float | None) -> None:
        self._implementation = implementation
        self._fields: dict[str, Any] = {"threads": threads, "floor_ns": floor_ns}
        self._blocks: list[Seen] = []
        self.ended = ""
        self.doings: tuple[Any, ...] = ()
        self.reports_closed = False

    def observation(self) -> Observation:
        """What was seen."""
        return Observation(
            implementation=self._implementation.name,
            ended=self.ended,
            blocks=tuple(self._blocks),
            doings=self.doings,
            reports_closed=self.reports_closed,
            **self._fields,
        )

    def play(self, worker: Worker, layer: Layer, known: _Answered, fresh: _Answered) -> None:
        """Plays every scene.

        Raises:
            ImplementationFailed: the kernel failed; what was seen before stays.
        """
        worker.start()
        self._fields["price"] = measure_price(worker, fresh.bank.gather(fresh.draw()))
        self._fields["state_before"] = worker.state()
        worker.load(self._implementation)
        self._prepare(worker, layer)
        self._block(worker, Scene.FIRST, fresh, [fresh.draw()])
        self._fields["doings_before"] = len(worker.doings)
        for _number in range(_BLOCKS):
            self._block(worker, Scene.FRESH, fresh, [fresh.draw() for _call in range(_CALLS)])
            self._block(worker, Scene.KNOWN, known, [known.draw() for _call in range(_CALLS)])
            # First two batches of the process's own, then the same two in turn.
            pair = [fresh.draw(), fresh.draw()]
            self._block(worker, Scene.FRESH, fresh, pair)
            self._block(worker, Scene.AGAIN, fresh, pair * (_CALLS // 2))
        self._block(worker, Scene.ALIKE, fresh, _alike(fresh))
        for _number in range(_CALLS // 2):
            self._block(worker, Scene.SAME_PLACE, fresh, [fresh.draw()], draw_addresses=False)
        for _number in range(_MANY):
            self._block(worker, Scene.MANY, fresh, [fresh.draw() for _call in range(_CALLS)])
        self._watch(worker)
        self._fields["state_after"] = worker.state()

    def _prepare(self, worker: Worker, layer: Layer) -> None:
        started, busy = time.perf_counter_ns(), worker.family_cpu_ns()
        worker.prepare(layer)
        self._fields["prepare_wall_ns"] = time.perf_counter_ns() - started
        self._fields["prepare_cpu_ns"] = worker.family_cpu_ns() - busy

    def _block(
        self,
        worker: Worker,
        scene: Scene,
        answered: _Answered,
        rows: list[npt.NDArray[np.int64]],
        *,
        draw_addresses: bool = True,
    ) -> None:
        made = worker.call_block([answered.bank.gather(one) for one in rows], draw_addresses=draw_addresses)
        self._blocks.append(
            Seen(
                scene=scene,
                calls_ns=made.calls_ns,
                parent_ns=made.parent_ns,
                right=tuple(answered.right(one, output) for one, output in zip(rows, made.outputs, strict=True)),
                x_unchanged=tuple(output.x_unchanged for output in made.outputs),
                guards_held=made.guards_held,
                hosts_ns=made.hosts_ns,
            )
        )

    def _watch(self, worker: Worker) -> None:
        """Watches the process while it has nothing to do."""
        time.sleep(_GRACE_S)
        before, started = worker.family_cpu_ns(), time.perf_counter_ns()
        time.sleep(_WATCH_S)
        self._fields["late_ns"] = worker.family_cpu_ns() - before
        self._fields["watched_ns"] = time.perf_counter_ns() - started
        self._fields["late_change"] = worker.outputs_changed()


def _alike(answered: _Answered) -> list[npt.NDArray[np.int64]]:
    """A batch; the same with its last, its first and its middle row replaced; and the same turned round."""
    batch, other = answered.draw(), answered.draw()
    rows = [batch]
    for place in (-1, 0, len(batch) // 2):
        changed = batch.copy()
        changed[place : place + 1 or None] = other[place : place + 1 or None]
        rows.append(changed)
    return [*rows, batch[::-1].copy()]
