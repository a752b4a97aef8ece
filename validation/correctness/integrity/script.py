"""The scripted run: one process, every scene, every output checked."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Final

from validation.correctness.integrity.answered import Answered
from validation.correctness.integrity.busy import lower_quartile
from validation.correctness.integrity.few_tokens import ONE_BLOCK, in_small_batches, singly
from validation.correctness.integrity.observation import (
    ALL_UNCLOCKED,
    ONE_UNCLOCKED,
    Observation,
    Scene,
    Unclocked,
)
from validation.correctness.integrity.recorder import Recorder
from validation.implementations import spawn
from validation.implementations.clock import measure_price
from validation.implementations.failure import ImplementationFailed
from validation.implementations.files import AS_THEY_WERE, Files
from validation.implementations.least_time import least_call_ns
from validation.implementations.limits import Limits
from validation.implementations.manner import SAME_ADDRESSES
from validation.implementations.process import Worker
from validation.implementations.unclocked import PAIRS, calls_of, measure_unclocked_price
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
    recorder = Recorder(implementation=implementation, threads=threads, floor_ns=least_call_ns(workload, threads))
    fields = recorder.fields
    with Worker(
        threads=threads, environment=implementation.environment, limits=limits or Limits(), device=device
    ) as worker:
        before, files = worker.suites_settings() | {_FILES: AS_THEY_WERE}, Files()
        try:
            _Script(recorder).play(worker, layer, Answered(known, layer), Answered(bank, layer))
        except ImplementationFailed as failure:
            fields["ended"] = str(failure)
        finally:
            fields |= {"suite_before": before, "suite_after": worker.suites_settings() | {_FILES: files.changed()}}
            spawn.put_cores_back()
    # What it has hidden is found as it ends.
    fields |= {"doings": tuple(worker.doings), "reports_closed": worker.reports_closed}
    return recorder.observation()


class _Script:
    """Plays the scenes."""

    def __init__(self, recorder: Recorder) -> None:
        """Plays to `recorder`."""
        self._recorder = recorder
        self._blocks = recorder.blocks
        self._block = recorder.block
        self._fields = recorder.fields

    def play(self, worker: Worker, layer: Layer, known: Answered, seen: Answered) -> None:
        """Plays every scene; `seen` are tokens that come again and again.

        Raises:
            ImplementationFailed: the kernel failed; what was seen before stays.
        """
        worker.start()
        queued = self._recorder.implementation.graph
        self._fields["price"] = measure_price(worker, known.bank.gather(known.draw(1)[0]), queued=queued)
        on_cpu = seen.bank.workload.layer.device == "cpu"
        if on_cpu:
            alone = known.by(1)
            self._fields["one_price"] = measure_price(worker, alone.bank.gather(alone.draw(1)[0]))
        short = ((seen.by(1), ONE_UNCLOCKED), (seen, ALL_UNCLOCKED)) if on_cpu else ()
        for answered, scenes in short:
            x = answered.bank.gather(answered.draw(1)[0])
            self._recorder.prices[scenes.unclocked] = measure_unclocked_price(worker, x)
        self._fields["state_before"] = worker.state()
        worker.load(self._recorder.implementation)
        self._prepare(worker, layer)
        self._recorder.compiling.update(range(len(worker.doings)))
        workload = seen.bank.workload
        self._recorder.first(worker, Scene.FIRST, known)
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
            singly(self._recorder, worker, layer, known.by(1), seen.by(1))
            in_small_batches(self._recorder, worker, layer, known)
        for answered, scenes in short:
            self._unclocked(worker, answered, scenes)
        self._watch(worker)
        self._fields["state_after"] = worker.state()

    def _as_timed(self, worker: Worker, known: Answered) -> None:
        """Calls on the published seed's tokens, as a timed process makes them."""
        device = known.bank.workload.layer.device
        spent: list[int] = []
        while not spent or (sum(spent) < _WARM_NS[device] and len(spent) < ONE_BLOCK):
            self._block(worker, Scene.KNOWN, known, known.draw(max(1, len(spent))))
            spent += self._blocks[-1].calls_ns
        usual_ns = max(median(spent[len(spent) // 2 :]), 1)
        least, most = _TIMED_CALLS
        calls = min(max(least, int(_TIMED_NS / usual_ns)), most)
        size = _GPU_CALLS if device == "cuda" else max(1, min(int(_BLOCK_NS / usual_ns), calls))
        for _number in range(-(-calls // size)):
            self._block(worker, Scene.KNOWN, known, known.draw(size))

    def _unclocked(self, worker: Worker, answered: Answered, scenes: Unclocked) -> None:
        """Blocks of calls that are timed, if they are short, each beside one of calls that the parent alone times."""
        # Not the middle one: of blocks of two calls, the first of which did the work of both, that was no short one.
        call_ns = lower_quartile([ns for block in self._blocks if block.scene is scenes.usual for ns in block.calls_ns])
        calls = calls_of(answered.bank.gather(answered.draw(1)[0]), call_ns)
        for _pair in range(PAIRS if calls else 0):
            self._block(worker, scenes.alone, answered, answered.draw(1))
            self._block(worker, scenes.clocked, answered, answered.draw(calls))
            self._block(worker, scenes.unclocked, answered, answered.draw(calls))

    def _prepare(self, worker: Worker, layer: Layer) -> None:
        started, busy = time.perf_counter_ns(), worker.family_cpu_ns()
        worker.prepare(layer)
        self._fields["prepare_wall_ns"] = time.perf_counter_ns() - started
        self._fields["prepare_cpu_ns"] = worker.family_cpu_ns() - busy

    def _watch(self, worker: Worker) -> None:
        """Watches the process while it has nothing to do."""
        time.sleep(_GRACE_S)
        before, started = worker.family_cpu_ns(), time.perf_counter_ns()
        time.sleep(_WATCH_S)
        self._fields["late_ns"] = worker.family_cpu_ns() - before
        self._fields["watched_ns"] = time.perf_counter_ns() - started
        self._fields["late_change"] = self._recorder.unsettled or worker.outputs_changed()
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
