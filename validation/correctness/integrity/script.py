"""The scripted run: one process, every scene, every output checked."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from validation.correctness.integrity.answered import Answered
from validation.correctness.integrity.busy import lower_quartile
from validation.correctness.integrity.observation import (
    ALL_UNCLOCKED,
    ONE_UNCLOCKED,
    Observation,
    Scene,
    Seen,
    Unclocked,
)
from validation.implementations import spawn
from validation.implementations.clock import measure_price
from validation.implementations.failure import ImplementationFailed
from validation.implementations.files import AS_THEY_WERE, Files
from validation.implementations.least_time import least_call_ns
from validation.implementations.limits import Limits
from validation.implementations.manner import SAME_ADDRESSES, UNCLOCKED, USUAL, Manner
from validation.implementations.process import Worker
from validation.implementations.unclocked import PAIRS, UnclockedPrice, calls_of, measure_unclocked_price
from validation.workloads.inputs import TokenBank, make_layer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from validation.implementations.implementation import Implementation
    from validation.workloads.layer import Layer
    from validation.workloads.workload import Workload

#: Calls of a block, and blocks of a scene that is timed: the fastest of 16 calls is undisturbed by the host.
_CALLS: Final = 8
_BLOCKS: Final = 2

#: Calls of the first blocks on fresh tokens, all of whose rows the oracle has to answer.
_FRESH: Final = 4

#: A look begins as a timed process does, so that a kernel which does anything there does it here, before it can know
#: that it is looked at: blocks of twice as many calls each until it is warm, then of 20 ms each, in all as many calls
#: as 0.5 s hold, but 5 at least and 30 at most. One that knew timed processes by blocks of another size was honest in
#: looks alone. On a GPU a block has 16 calls.
_WARM_NS: Final = {"cpu": 50_000_000, "cuda": 2_000_000}
_BLOCK_NS: Final = 20_000_000
_TIMED_NS: Final = 500_000_000
_TIMED_CALLS: Final = (5, 30)
_GPU_CALLS: Final = 16

#: Calls on the same tokens at the same addresses: the first is answered, the others may be remembered. Of one of them
#: alone a busy host made 0.5 ms into 10, and a memory by address was acquitted.
_SAME: Final = 5

#: Blocks of tokens seen before, late enough for a kernel that is honest for its first 100 calls. Between them so many
#: fresh ones, each between one of either bank's tokens; all have as many calls, because the first of a block takes more
#: CPU time: with 4 fresh beside 8 of a bank's an honest kernel's share of it was 0.88 to 0.98. So many calls have a
#: middle one, and the oracle has to answer no more tokens than before, when there were 7 blocks of 4.
_MANY: Final = 9
_BESIDE: Final = 3

#: Then calls on one token, as many as a timed process makes while it warms up and is measured: 0.1 s of them or 4096.
_ONE_NS: Final = 100_000_000
_MOST_ONE: Final = 4096
_ONE_BLOCK: Final = 256

#: Nor more than fit into this time by the parent's clock, where asking 4096 times takes 0.3 s. A kernel's thread that
#: never lets go of the interpreter makes each asking take 10 ms and more, in none of the calls' time: minutes in all.
_ONE_ASKING_NS: Final = 2_000_000_000

#: Blocks of calls on a fresh token, each with one of tokens of either bank behind it, and how many calls each has: as
#: many as fit into that time with one bank's, but no fewer or more than these.
_ONE_PAIRS: Final = 13
_ONE_FRESH: Final = (2, 8)

_FILES: Final = "the suite's files"

#: OpenMP's and BLAS's threads spin for some ms after a call; after this they sleep.
_GRACE_S: Final = 0.06
_WATCH_S: Final = 0.1


def observe(
    implementation: Implementation,
    workload: Workload,
    *,
    threads: int,
    limits: Limits | None = None,
) -> Observation:
    """Runs the kernel through every scene and returns what was seen; whatever it does ends in the observation.

    Most tokens are drawn from seeds made up now, so that no answer to them can have been prepared. The published
    seed's tokens come too, and tokens that the process saw before, alone or in other batches: they must not be any
    faster than tokens that nobody has seen.
    """
    device = workload.layer.device
    drawn = replace(workload, seed=secrets.randbelow(1 << 31))
    layer = make_layer(workload.layer, workload.seed)
    known, bank = TokenBank.draw(workload), TokenBank.draw(drawn)
    seen = _Script(implementation=implementation, threads=threads, floor_ns=least_call_ns(workload, threads))
    with Worker(
        threads=threads, environment=implementation.environment, limits=limits or Limits(), device=device
    ) as worker:
        before, files = worker.suites_settings() | {_FILES: AS_THEY_WERE}, Files()
        try:
            seen.play(worker, layer, Answered(known, layer), Answered(bank, layer))
        except ImplementationFailed as failure:
            seen.ended = str(failure)
        finally:
            seen.suite = (before, worker.suites_settings() | {_FILES: files.changed()})
            spawn.put_cores_back()
        seen.doings, seen.reports_closed = worker.doings, worker.reports_closed
    return seen.observation()


class _Script:
    """Plays the scenes and keeps what was seen so far."""

    def __init__(self, *, implementation: Implementation, threads: int, floor_ns: float | None) -> None:
        self._implementation = implementation
        self._fields: dict[str, Any] = {"threads": threads, "floor_ns": floor_ns}
        self._blocks: list[Seen] = []
        self._prices: dict[Scene, UnclockedPrice | None] = {}
        self._compiling: set[int] = set()
        self._unsettled = False
        self.ended = ""
        self.suite: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self.doings: tuple[Any, ...] = ()
        self.reports_closed = False

    def observation(self) -> Observation:
        """What was seen."""
        return Observation(
            implementation=self._implementation.name,
            ended=self.ended,
            blocks=tuple(self._blocks),
            doings=self.doings,
            compiling=frozenset(self._compiling),
            reports_closed=self.reports_closed,
            suite_before=self.suite[0],
            suite_after=self.suite[1],
            **self._fields,
        )

    def play(self, worker: Worker, layer: Layer, known: Answered, seen: Answered) -> None:
        """Plays every scene; `seen` are tokens that come again and again.

        Raises:
            ImplementationFailed: the kernel failed; what was seen before stays.
        """
        worker.start()
        queued = self._implementation.graph
        self._fields["price"] = measure_price(worker, known.bank.gather(known.draw(1)[0]), queued=queued)
        on_cpu = seen.bank.workload.layer.device == "cpu"
        if on_cpu:
            alone = known.alone()
            self._fields["one_price"] = measure_price(worker, alone.bank.gather(alone.draw(1)[0]))
        short = ((seen.alone(), ONE_UNCLOCKED), (seen, ALL_UNCLOCKED)) if on_cpu else ()
        for answered, scenes in short:
            x = answered.bank.gather(answered.draw(1)[0])
            self._prices[scenes.unclocked] = measure_unclocked_price(worker, x)
        self._fields["state_before"] = worker.state()
        worker.load(self._implementation)
        self._prepare(worker, layer)
        self._compiling.update(range(len(worker.doings)))
        workload = seen.bank.workload
        self._first(worker, Scene.FIRST, known)
        self._as_timed(worker, known)
        for _number in range(_BLOCKS):
            fresh = Answered.fresh(workload, layer, _FRESH)
            rows = fresh.draw(_FRESH)
            self._block(worker, Scene.FRESH, fresh, rows)
            # Two batches of the process's own, in turn.
            self._block(worker, Scene.AGAIN, fresh, rows[-2:] * (_CALLS // 2))
        self._block(worker, Scene.ALIKE, seen, _alike(seen))
        for _number in range(_CALLS // 2):
            self._block(worker, Scene.SAME_PLACE, seen, seen.draw(1), SAME_ADDRESSES)
        # The same tokens at the same addresses too, as when calls are made without a pause for a counter of energy.
        rows = seen.draw(1)
        for _number in range(_SAME):
            self._block(worker, Scene.AGAIN, seen, rows, SAME_ADDRESSES)
        for number in range(_MANY):
            # Answered beforehand: blocks that are compared stand side by side, with the same lulls and caches. Right
            # behind the oracle's work those of fresh tokens took 5 % longer, so that none is the first.
            unseen = Answered.fresh(workload, layer, _BESIDE)
            self._block(worker, Scene.MANY, seen, seen.draw(_CALLS))
            beside = [(Scene.PUBLISHED, known), (Scene.FRESH, unseen), (Scene.MANY, seen)]
            # Each bank's stand before fresh ones as often as behind them.
            for scene, tokens in beside if number % 2 == 0 else reversed(beside):
                self._block(worker, scene, tokens, tokens.draw(_BESIDE))
        if on_cpu:
            self._singly(worker, layer, known.alone(), seen.alone())
        for answered, scenes in short:
            self._unclocked(worker, answered, scenes)
        self._watch(worker)
        self._fields["state_after"] = worker.state()

    def _as_timed(self, worker: Worker, known: Answered) -> None:
        """Calls on the published seed's tokens, as a timed process makes them."""
        device = known.bank.workload.layer.device
        spent: list[int] = []
        while not spent or (sum(spent) < _WARM_NS[device] and len(spent) < _ONE_BLOCK):
            self._block(worker, Scene.KNOWN, known, known.draw(max(1, len(spent))))
            spent += self._blocks[-1].calls_ns
        usual_ns = max(median(spent[len(spent) // 2 :]), 1)
        least, most = _TIMED_CALLS
        calls = min(max(least, int(_TIMED_NS / usual_ns)), most)
        size = _GPU_CALLS if device == "cuda" else max(1, min(int(_BLOCK_NS / usual_ns), calls))
        for _number in range(-(-calls // size)):
            self._block(worker, Scene.KNOWN, known, known.draw(size))

    def _singly(self, worker: Worker, layer: Layer, known: Answered, seen: Answered) -> None:
        """Calls on one token each, more in every block, as a timed process of few tokens makes them."""
        self._first(worker, Scene.ONE, seen)
        made = spent_ns = asking_ns = 0
        right = True
        # Thousands more of wrong outputs say nothing else, and are looked at one by one.
        while right and made < _MOST_ONE and spent_ns < _ONE_NS and asking_ns < _ONE_ASKING_NS:
            calls = min(max(made, 1), _ONE_BLOCK)
            self._block(worker, Scene.ONE, seen, seen.draw(calls))
            block = self._blocks[-1]
            made, spent_ns, asking_ns = made + calls, spent_ns + sum(block.calls_ns), asking_ns + block.parent_ns
            right = all(block.right)
        least, most = _ONE_FRESH
        calls = min(max(least, _ONE_NS * made // max(spent_ns * _ONE_PAIRS, 1)), most)
        fresh = Answered.fresh(seen.bank.workload, layer, 2 * calls * _ONE_PAIRS)
        for _pair in range(_ONE_PAIRS):
            for scene, old in ((Scene.ONE, seen), (Scene.ONE_PUBLISHED, known)):
                self._block(worker, Scene.ONE_FRESH, fresh, fresh.draw(calls))
                self._block(worker, scene, old, old.draw(calls))

    def _unclocked(self, worker: Worker, answered: Answered, scenes: Unclocked) -> None:
        """Blocks of calls that are timed, if they are short, each beside one of calls that the parent alone times."""
        # Not the middle one: of blocks of two calls, the first of which did the work of both, that was no short one.
        call_ns = lower_quartile([ns for block in self._blocks if block.scene is scenes.usual for ns in block.calls_ns])
        calls = calls_of(answered.bank.gather(answered.draw(1)[0]), call_ns)
        for _pair in range(PAIRS if calls else 0):
            self._block(worker, scenes.alone, answered, answered.draw(1))
            self._block(worker, scenes.clocked, answered, answered.draw(calls))
            self._block(worker, scenes.unclocked, answered, answered.draw(calls))

    def _first(self, worker: Worker, scene: Scene, answered: Answered) -> None:
        """The first call on so many tokens, in which a kernel may compile itself."""
        before = len(worker.doings)
        self._block(worker, scene, answered, answered.draw(1))
        self._compiling.update(range(before, len(worker.doings)))

    def _prepare(self, worker: Worker, layer: Layer) -> None:
        started, busy = time.perf_counter_ns(), worker.family_cpu_ns()
        worker.prepare(layer)
        self._fields["prepare_wall_ns"] = time.perf_counter_ns() - started
        self._fields["prepare_cpu_ns"] = worker.family_cpu_ns() - busy

    def _block(
        self,
        worker: Worker,
        scene: Scene,
        answered: Answered,
        rows: list[npt.NDArray[np.int64]],
        manner: Manner = USUAL,
    ) -> None:
        price = self._prices.get(scene)
        inputs = [answered.bank.gather(one) for one in rows]
        made = worker.call_block(inputs, manner if price is None else UNCLOCKED)
        self._unsettled |= not all(output.settled for output in made.outputs)
        self._blocks.append(
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

    def _watch(self, worker: Worker) -> None:
        """Watches the process while it has nothing to do."""
        time.sleep(_GRACE_S)
        before, started = worker.family_cpu_ns(), time.perf_counter_ns()
        time.sleep(_WATCH_S)
        self._fields["late_ns"] = worker.family_cpu_ns() - before
        self._fields["watched_ns"] = time.perf_counter_ns() - started
        self._fields["late_change"] = self._unsettled or worker.outputs_changed()
        self._fields["companions"] = worker.companions()


def _alike(answered: Answered) -> list[npt.NDArray[np.int64]]:
    """A batch; the same with its last, its first and its middle row replaced; and the same turned round."""
    batch, other = answered.draw(2)
    rows = [batch]
    for place in (-1, 0, len(batch) // 2):
        changed = batch.copy()
        changed[place : place + 1 or None] = other[place : place + 1 or None]
        rows.append(changed)
    return [*rows, batch[::-1].copy()]
