"""Measures a workload: starts the processes in their drawn order and yields what each of them observed."""

from __future__ import annotations

import math
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from validation.implementations.clock import measure_price
from validation.implementations.failure import ImplementationFailed, WorkerEnded
from validation.implementations.limits import Limits
from validation.implementations.process import Worker
from validation.implementations.unclocked import measure_unclocked_price
from validation.performance.conduct import changes, reports
from validation.performance.deadline import Deadline
from validation.performance.events import LeftOut, ProcessFailed, ProcessStarted, SeriesMeasured
from validation.performance.gauge import Gauge
from validation.performance.order import Turn, draw_order
from validation.performance.sample import ProcessRun, Role, Series
from validation.performance.series import Check, Subject, measure_series
from validation.performance.statistics import MIN_CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from validation.implementations.clock import Price
    from validation.implementations.implementation import Implementation
    from validation.implementations.shared_layer import SharedLayer
    from validation.implementations.unclocked import UnclockedPrice
    from validation.performance.batch import Batch
    from validation.performance.events import Event
    from validation.performance.gpu_state import GpuState
    from validation.performance.profile import Profile
    from validation.performance.worker_like import WorkerLike
    from validation.workloads.inputs import TokenBank


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All that one workload's measuring is told.

    `check` gets the rows of the bank that a call was given and what came out, and says whether that is right.
    `unseen` draws a batch of tokens that nobody has seen, for calls of the candidate among its others.
    `probe` returns FLOP/s of all cores; `usual_probe` is what this run usually saw already. `afterwards` is called in
    each of the candidate's first processes that count, with its round, once its series is measured.

    On a GPU `gpu_state` and `energy_j` read it, calls of implementations in `energy` are also made without a pause, and
    `host` is what of the same rounds is measured on the host's CPU: its bank, layer, baselines, probe and check.

    `limit_s` is how long all of it may take; see `Profile`.
    """

    bank: TokenBank
    layer: SharedLayer
    candidate: Implementation
    baselines: tuple[Implementation, ...]
    profile: Profile
    threads: int
    seed: int
    probe: Callable[[], float]
    check: Check
    unseen: Callable[[], Batch] | None = None
    usual_probe: float = 0.0
    limits: Limits = field(default_factory=Limits)
    afterwards: Callable[[Subject, WorkerLike, Gauge, int], None] | None = None
    gpu_state: Callable[[], GpuState | None] = lambda: None
    energy_j: Callable[[], float | None] = lambda: None
    energy: frozenset[str] = frozenset()
    host: Measurement | None = None
    limit_s: float = math.inf


def measure(
    measurement: Measurement,
    *,
    finished: Sequence[ProcessRun] = (),
    on_event: Callable[[Event], None] = lambda _event: None,
    open_worker: Callable[[Measurement, Turn], WorkerLike] | None = None,
) -> Iterator[ProcessRun]:
    """Yields every process as soon as it is measured.

    `finished` is what an earlier run has already measured. Blocks are judged by the usual probe seen so far;
    `sample.apply_rule` judges them by that of the whole run when it is complete. A baseline with `most_pairs` takes
    part until so many of its processes have calls enough that count: which do depends on the machine alone, never on
    how long the calls took. Whatever a kernel does ends in the run's `ended`; an interrupt leaves no process behind.
    """
    profile, names = measurement.profile, [baseline.name for baseline in measurement.baselines]
    most = {one.name: one.most_pairs for one in measurement.baselines if one.most_pairs is not None}
    host = measurement.host or measurement
    hosts = [baseline.name for baseline in measurement.host.baselines] if measurement.host else []
    order = draw_order(profile.pairs, names, measurement.seed, hosts)
    before = {(run.round, run.position) for run in finished}
    turns = [turn for turn in order if (turn.round, turn.position) not in before]
    counted = Counter(name for run in finished for name in _counted(run))
    gauge, host_gauge = _gauge(measurement), _gauge(host)
    open_one = open_worker or _open_worker
    weights = [1 + sum(turn.round <= most.get(name, turn.round) for name in turn.baselines) for turn in turns]
    deadline = Deadline(limit_s=measurement.limit_s, weights=weights)
    # While these are not through, no others are of use.
    least = sum(turn.round <= profile.least_pairs for turn in turns)
    sat_out, done = Counter[str](), 0
    for number, turns_of_round in groupby(turns, key=lambda turn: turn.round):
        group = tuple(turns_of_round)
        if number > profile.least_pairs and done and deadline.overrun_s(done, done + len(group)) > 0:
            on_event(LeftOut(what=f"{profile.pairs + 1 - number} of {profile.pairs} pairs"))
            break
        with ExitStack() as stack:
            # On a GPU the workers of a round load torch side by side, which halves their start; then each waits, asleep
            # and without a kernel, for its turn.
            opened: list[tuple[Turn, WorkerLike]] = []
            for turn in group:
                worker = open_one(host if turn.host else measurement, turn)
                stack.callback(worker.close)
                opened.append((turn, worker))
            for planned, worker in opened:
                until = len(turns) if number > profile.least_pairs else least
                needed = {name: most[name] - counted[name] for name in most}
                wanted = _without(planned, [name for name, times in needed.items() if times <= 0])
                turn = _without(wanted, deadline.sits_out(done, until, _left(turns[done:until], needed)))
                sat_out.update(set(wanted.baselines) - set(turn.baselines))
                of, by = (host, host_gauge) if turn.host else (measurement, gauge)
                by.patience_s = min(by.spent_s + deadline.patience_s(done), profile.patience_s)
                waited_s = by.spent_s
                on_event(
                    ProcessStarted(
                        workload=measurement.bank.workload.name,
                        round=turn.round,
                        rounds=profile.pairs,
                        position=turn.position,
                        role=turn.role,
                    )
                )
                run = _measure_process(of, turn, worker, by, deadline=deadline, on_event=on_event)
                worker.close()
                if turn.role is not Role.BASELINES:
                    run = run.model_copy(update={"doings": (*run.doings, *reports(worker))})
                done += 1
                counted.update(_counted(run))
                deadline.waited_s += by.spent_s - waited_s
                yielded_s = deadline.now()
                yield run
                deadline.elsewhere_s += deadline.now() - yielded_s
    for name, missed in sat_out.items():
        on_event(LeftOut(what=f"{name} in {missed} rounds"))


def _without(turn: Turn, costly: Collection[str]) -> Turn:
    """The turn without those baselines."""
    return replace(turn, baselines=tuple(name for name in turn.baselines if name not in costly))


def _left(turns: Sequence[Turn], needed: Mapping[str, int]) -> dict[str, int]:
    """How often each baseline will still come in these turns, where some are `needed` a few times more alone."""
    rounds = Counter(name for turn in turns for name in turn.baselines)
    return {name: min(times, needed.get(name, times)) for name, times in rounds.items()}


def _counted(run: ProcessRun) -> tuple[str, ...]:
    """The baselines of which the process has enough calls that count for a value."""
    if run.discarded or run.role is not Role.BASELINES:
        return ()
    return tuple(series.implementation for series in run.series if len(series.accepted_ns) >= MIN_CALLS)


def _gauge(measurement: Measurement) -> Gauge:
    return Gauge(
        probe=measurement.probe,
        device=measurement.bank.workload.layer.device,
        before=measurement.usual_probe,
        state=measurement.gpu_state,
        energy_j=measurement.energy_j,
    )


def _measure_process(  # noqa: PLR0913 -- what is measured, where, and who hears of it
    measurement: Measurement,
    turn: Turn,
    worker: WorkerLike,
    gauge: Gauge,
    *,
    deadline: Deadline,
    on_event: Callable[[Event], None],
) -> ProcessRun:
    """One process from its start to its end: a failing implementation does not stop the others beside it."""
    series: list[Series] = []
    failures: list[str] = []
    blas: tuple[str, ...] = ()
    doings: tuple[str, ...] = ()
    candidate = turn.role is not Role.BASELINES
    try:
        worker.start()
        # Baselines wait for their turn beside a candidate's process.
        doings = worker.displaced()
        x = measurement.bank.gather(measurement.bank.rows("price", call=0))
        implementations = _implementations(measurement, turn)
        graphs = sorted({implementation.graph for implementation in implementations})
        prices = {graph: measure_price(worker, x, queued=graph) for graph in graphs}
        on_cpu = measurement.bank.workload.layer.device == "cpu"
        judged = candidate and not turn.discarded
        unclocked_price = measure_unclocked_price(worker, x) if on_cpu and judged else None
        before = worker.state() if candidate else {}
        for implementation in implementations:
            began_s = time.monotonic()
            try:
                subject = _subject(measurement, turn, implementation, prices[implementation.graph], unclocked_price)
                measured = measure_series(subject, worker, gauge)
                if measurement.afterwards and turn.role is Role.CANDIDATE and not turn.discarded:
                    measurement.afterwards(subject, worker, gauge, turn.round)
            except WorkerEnded:
                raise
            except ImplementationFailed as failure:
                failures.append(f"{implementation.name}: {failure}")
                on_event(ProcessFailed(role=turn.role, cause=failures[-1]))
                continue
            if turn.role is Role.BASELINES and not turn.discarded:
                deadline.costs_s[implementation.name].append(time.monotonic() - began_s)
            series.append(measured)
            on_event(SeriesMeasured.of(measured, turn.role))
        blas = worker.libraries()
        doings += changes(worker, before) if candidate else worker.displaced()
    except ImplementationFailed as failure:
        failures.append(str(failure))
        on_event(ProcessFailed(role=turn.role, cause=failures[-1]))
    return ProcessRun(
        round=turn.round,
        position=turn.position,
        role=turn.role,
        discarded=turn.discarded,
        threads=measurement.threads,
        blas="; ".join(blas),
        series=tuple(series),
        ended="; ".join(failures),
        workload=measurement.bank.workload.name,
        doings=doings,
    )


def _implementations(measurement: Measurement, turn: Turn) -> tuple[Implementation, ...]:
    """What the process runs, in its order."""
    if turn.role is not Role.BASELINES:
        return (measurement.candidate,)
    named = {baseline.name: baseline for baseline in measurement.baselines}
    return tuple(named[name] for name in turn.baselines)


def _subject(
    measurement: Measurement,
    turn: Turn,
    implementation: Implementation,
    price: Price,
    unclocked_price: UnclockedPrice | None,
) -> Subject:
    return Subject(
        implementation=implementation,
        bank=measurement.bank,
        layer=measurement.layer,
        profile=measurement.profile,
        check=measurement.check,
        price=price,
        unclocked_price=unclocked_price,
        threads=measurement.threads,
        # Not the same for the two candidates: what one process stored on disk is of no use to the other.
        key=(turn.round, turn.role.value, implementation.name),
        unseen=None if turn.role is Role.BASELINES else measurement.unseen,
        discarded=turn.discarded,
        energy=implementation.name in measurement.energy,
    )


def _open_worker(measurement: Measurement, turn: Turn) -> Worker:
    """A worker for the turn: one of its own for a candidate, one that trusted baselines share."""
    implementations = _implementations(measurement, turn)
    return Worker(
        threads=measurement.threads,
        trusted=turn.role is Role.BASELINES,
        environment=[pair for implementation in implementations for pair in implementation.environment],
        limits=measurement.limits,
        device=measurement.bank.workload.layer.device,
    )
