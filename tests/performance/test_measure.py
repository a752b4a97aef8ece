from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from validation.implementations.answer import BlockOutput, Output, Prepared, Sustained
from validation.implementations.failure import ImplementationFailed, WorkerEnded
from validation.implementations.implementation import Implementation
from validation.implementations.mailbox import Doing
from validation.implementations.manner import USUAL, Manner
from validation.implementations.shared_layer import SharedLayer
from validation.implementations.unclocked import PAIRS
from validation.performance.events import Event, LeftOut, ProcessFailed, ProcessStarted, SeriesMeasured
from validation.performance.gauge import Gauge
from validation.performance.measure import Measurement, measure
from validation.performance.order import Turn
from validation.performance.profile import Profile
from validation.performance.sample import (
    CLOCK_DISAGREES,
    CORES_EXCEEDED,
    OTHERS_RAN,
    PROBE_SLOW,
    WORKER_RAN,
    ProcessRun,
    Role,
    Series,
    apply_rule,
    probe_rule,
)
from validation.performance.series import Subject, measure_series
from validation.workloads.inputs import TokenBank, make_layer
from validation.workloads.layer import LayerConfig
from validation.workloads.workload import Workload

MS = 1_000_000
PROFILE = Profile(name="test", pairs=2, least_calls=5, budget_s=0.4, warm_s=0.06, block_s=0.05)
WORKLOAD = Workload(name="tiny", tokens=4, layer=LayerConfig(d_model=8, d_ff=8, n_experts=2, top_k=1))


class FakeWorker:
    """A worker whose clock says what the test wants: every call of a kernel takes `call_ns[name]`."""

    def __init__(self, turn: Turn, call_ns: dict[str, int], *, hidden: float = 0.0, flaws: frozenset[str]) -> None:
        self.turn, self.call_ns, self.hidden, self.flaws = turn, call_ns, hidden, flaws
        self.name = ""
        self.closed = self.busy = self.reports_closed = False
        self.calls = self.asked = 0
        self.cores = 2.0
        self.cold_calls = 0

    def start(self) -> None:
        if "dies" in self.flaws:
            raise WorkerEnded("start", "killed by signal SIGKILL")

    def load(self, implementation: Implementation) -> str:
        self.name = implementation.name
        if f"{self.name} cannot be loaded" in self.flaws:
            raise ImplementationFailed("import", "SyntaxError: invalid syntax")
        return ""

    def prepare(self, layer: SharedLayer) -> Prepared:
        del layer
        return Prepared(prepare_ns=5, prepare_bytes=7)

    def call_block(self, inputs: Sequence[torch.Tensor], manner: Manner = USUAL) -> BlockOutput:
        assert not manner.queued
        assert not manner.due_ns
        clocked = manner.clocked
        self.cold_calls += len(inputs) if manner.cold else 0
        if manner.dry:
            return BlockOutput(outputs=(), parent_ns=50_000 + 10_000 * len(inputs), guards_held=True)
        self.calls += len(inputs)
        true_ns = self.call_ns[self.name]
        told_ns = int(true_ns * (1 - self.hidden)) if clocked else 0
        outputs = tuple(self._output(x, told_ns, right=clocked or "wrong unclocked" not in self.flaws) for x in inputs)
        self.busy = "beside a compiler" in self.flaws and not self.busy
        parent_ns = true_ns * len(inputs) + 60_000
        return BlockOutput(
            outputs=outputs,
            parent_ns=parent_ns,
            cpu_ns=int(self.cores * parent_ns),
            guards_held="overruns" not in self.flaws,
            others_share=0.4 if self.busy else 0.019,
            in_time=clocked or "answers early" not in self.flaws,
        )

    def _output(self, x: torch.Tensor, ns: int, *, right: bool) -> Output:
        out = x + 1.0 if "wrong" in self.flaws or not right else x
        unchanged = "mutates" not in self.flaws
        return Output(out=out, ids=None, weights=None, worker_ns=ns, written=True, x_unchanged=unchanged)

    def sustain(self, seconds: float) -> Sustained:
        return Sustained(calls=round(seconds * 1000), parent_ns=round(seconds * 1e9))

    def settle(self) -> None: ...

    def displaced(self) -> tuple[str, ...]:
        return ("cpu affinity: [0, 1] became [0]",) if "narrowed" in self.flaws else ()

    def state(self) -> dict[str, str]:
        return {"denormals": "flushed" if "flushes" in self.flaws and self.name else "kept"}

    @property
    def doings(self) -> tuple[Doing, ...]:
        """What it left behind is found as it ends."""
        left = (Doing(event="left a process", argument="sleep", stage="call"),)
        return left if "leaves a process" in self.flaws and self.closed else ()

    def cpu_ns(self) -> int:
        # Asked before and after each probe: its second answer is 0.1 ms later.
        self.asked += 1
        return self.asked * 100_000 if "runs at probes" in self.flaws else 0

    def libraries(self) -> tuple[str, ...]:
        return ("a blas",)

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validation.performance.gauge._PAUSE_S", 0.0)


@pytest.fixture(scope="module")
def layer() -> Iterator[SharedLayer]:
    with SharedLayer.of(make_layer(WORKLOAD.layer)) as shared:
        yield shared


class Bench:
    """Runs `measure` on fake workers and keeps what they were."""

    def __init__(self, layer: SharedLayer, workload: Workload = WORKLOAD) -> None:
        self.layer, self.workload = layer, workload
        self.workers: list[FakeWorker] = []
        self.events: list[Event] = []
        self.rows: list[tuple[int, ...]] = []
        self.call_ns = {"mine": 10 * MS, "slow": 100 * MS, "fast": 20 * MS}
        self.hidden = 0.0
        self.cores = 2.0
        self.flaws: frozenset[str] = frozenset()
        self.probe: Callable[[], float] = lambda: 100.0

    def measurement(self, **fields: Any) -> Measurement:
        bank = TokenBank.draw(self.workload)

        def check(rows: Any, out: torch.Tensor, ids: torch.Tensor | None, weights: torch.Tensor | None) -> bool:
            del ids, weights
            self.rows.append(tuple(rows))
            return torch.equal(out, bank.gather(rows))

        told: dict[str, Any] = {
            "bank": bank,
            "layer": self.layer,
            "candidate": _named("mine"),
            "baselines": (_named("slow"), _named("fast")),
            "profile": PROFILE,
            "threads": 2,
            "seed": 1,
            "probe": self.probe,
            "check": check,
        }
        return Measurement(**(told | fields))

    def run(self, fields: dict[str, Any] | None = None, **more: Any) -> list[ProcessRun]:
        measurement = self.measurement(**(fields or {}))
        return list(measure(measurement, on_event=self.events.append, open_worker=self._open, **more))

    def _open(self, measurement: Measurement, turn: Turn) -> FakeWorker:
        del measurement
        self.workers.append(FakeWorker(turn, self.call_ns, hidden=self.hidden, flaws=self.flaws))
        self.workers[-1].cores = self.cores
        return self.workers[-1]


def _named(name: str) -> Implementation:
    return Implementation(name=name, source=Path("x.py"), family="test", description="")


@pytest.fixture
def bench(layer: SharedLayer) -> Bench:
    return Bench(layer)


def test_every_round_has_two_candidates_and_one_process_of_all_baselines(bench: Bench) -> None:
    runs = bench.run()
    assert len(runs) == 3 * (1 + PROFILE.pairs)
    assert all({run.role for run in runs if run.round == number} == set(Role) for number in range(3))
    names = [{series.implementation for series in run.series} for run in runs if run.role is Role.BASELINES]
    assert names == [{"slow", "fast"}] * 3
    assert all(run.blas == "a blas" and not run.ended for run in runs)


def test_calls_are_as_many_as_the_profile_says(bench: Bench) -> None:
    calls = {
        series.implementation: len(series.accepted_ns) for run in bench.run() if run.round for series in run.series
    }
    assert calls == {"mine": 30, "fast": 20, "slow": 5}


def test_the_discarded_round_is_short_and_marked(bench: Bench) -> None:
    discarded = [run for run in bench.run() if run.discarded]
    assert {run.round for run in discarded} == {0}
    assert all(2 <= len(series.accepted_ns) <= 3 for run in discarded for series in run.series)


def test_every_timed_output_is_checked_against_rows_no_call_had_before(bench: Bench) -> None:
    runs = bench.run()
    timed = sum(len(block.calls_ns) for run in runs for series in run.series for block in series.blocks)
    assert len(bench.rows) == timed
    assert len(set(bench.rows)) == timed


@pytest.mark.parametrize("flaw", ["wrong", "mutates"])
def test_every_wrong_output_is_counted(bench: Bench, flaw: str) -> None:
    bench.flaws = frozenset({flaw})
    blocks = [block for run in bench.run() for series in run.series for block in series.blocks]
    assert all(block.outputs_wrong == len(block.calls_ns) for block in blocks)


def test_a_broken_guard_spoils_an_output(bench: Bench) -> None:
    bench.flaws = frozenset({"overruns"})
    assert all(block.outputs_wrong == 1 for run in bench.run() for series in run.series for block in series.blocks)


def test_short_calls_are_made_without_a_clock_between_them_too(bench: Bench) -> None:
    bench.call_ns = {"mine": MS, "slow": 100 * MS, "fast": 2 * MS}
    bench.hidden = 0.5
    for run in bench.run():
        for series in run.series:
            # Baselines are trusted; calls of 100 ms are held against the parent's clock as they are.
            wanted = PAIRS if series.implementation == "mine" and not run.discarded else 0
            assert len(series.unclocked) == wanted
            # The parent sees what the worker's clock leaves out.
            hidden_ns = bench.call_ns[series.implementation] / 2
            assert all(one.longer_ns == pytest.approx(hidden_ns, rel=0.04) for one in series.unclocked)
            assert all(not block.outputs_wrong for block in series.blocks)


@pytest.mark.parametrize("flaw", ["wrong unclocked", "answers early"])
def test_what_is_amiss_with_unclocked_calls_spoils_the_first_block(bench: Bench, flaw: str) -> None:
    bench.call_ns["mine"] = MS
    bench.flaws = frozenset({flaw})
    found = [series for run in bench.run() for series in run.series]
    spoilt = {one.implementation for one in found for block in one.blocks if block.outputs_wrong}
    assert spoilt == {"mine"}
    assert all(one.blocks[0].outputs_wrong for one in found if one.unclocked and one.implementation == "mine")


def test_what_a_candidate_does_that_no_kernel_needs_is_kept(bench: Bench) -> None:
    bench.flaws = frozenset({"flushes", "leaves a process"})
    for run in bench.run():
        kept = ("denormals: kept became flushed", "left a process(sleep) during call")
        assert [one.partition(" (")[0] for one in run.doings] == ([] if run.role is Role.BASELINES else list(kept))


def test_a_process_whose_cores_others_took_away_tells_so_whosever_it_is(bench: Bench) -> None:
    bench.flaws = frozenset({"narrowed"})
    assert {run.role for run in bench.run() if run.doings} == set(Role)


def test_a_block_beside_other_processes_is_kept_rejected_and_repeated(bench: Bench) -> None:
    bench.flaws = frozenset({"beside a compiler"})
    counted = [series for run in bench.run() if not run.discarded for series in run.series]
    blocks = [block for series in counted for block in series.blocks]
    assert {(block.others_share, block.accepted, block.reason) for block in blocks} == {
        (0.4, False, OTHERS_RAN),
        (0.019, True, ""),
    }
    assert all(len(series.accepted_ns) >= 5 for series in counted)


def test_a_kernel_that_runs_while_the_machine_is_probed_has_no_block_that_counts(bench: Bench) -> None:
    bench.flaws = frozenset({"runs at probes"})
    blocks = [block for run in bench.run() for series in run.series for block in series.blocks]
    assert {(block.accepted, block.reason) for block in blocks} == {(False, WORKER_RAN)}


@pytest.mark.parametrize("hidden", [0.0, 0.5])
def test_a_kernel_that_takes_more_cores_than_it_was_given_has_no_block_that_counts(bench: Bench, hidden: float) -> None:
    bench.cores, bench.hidden = 2.4, hidden
    runs = bench.run()
    rule = probe_rule(runs)
    assert rule is not None
    blocks = [block for run in apply_rule(runs, rule) for series in run.series for block in series.blocks]
    assert {(block.accepted, block.reason) for block in blocks} == {(False, CORES_EXCEEDED)}


def test_all_the_cores_that_were_given_may_be_used(bench: Bench) -> None:
    bench.cores = 2.1
    assert all(block.accepted for run in bench.run() for series in run.series for block in series.blocks)


def test_a_block_beside_a_slow_probe_is_kept_rejected_and_repeated(bench: Bench) -> None:
    # Blocks have a probe before and one after: with 31 at full speed the slow one is an after.
    speeds = iter([*[100.0] * 31, 79.0, *[100.0] * 1000])
    bench.probe = lambda: next(speeds)
    counted = [series for run in bench.run() if run.round for series in run.series]
    assert [block.reason for series in counted for block in series.blocks if not block.accepted] == [PROBE_SLOW]
    assert {len(series.accepted_ns) for series in counted if series.implementation == "mine"} == {30}


def slow_from_round(bench: Bench, late: int) -> None:
    """The machine goes at half its speed from then on; what came before was enough for its usual speed."""

    def speed() -> float:
        started = [event for event in bench.events if isinstance(event, ProcessStarted)]
        return 50.0 if started and started[-1].round >= late else 100.0

    bench.probe = speed


def test_repeats_are_bounded(bench: Bench) -> None:
    slow_from_round(bench, 9)
    runs = bench.run({"profile": replace(PROFILE, pairs=9)})
    of = {one.implementation: one for run in runs if run.round == 9 for one in run.series}
    # Twice as many as planned: 30 calls of 10 ms by five, 20 of 20 ms by two, 5 of 100 ms one by one.
    assert {name: len(one.blocks) for name, one in of.items()} == {"mine": 12, "fast": 20, "slow": 10}
    assert not any(one.accepted_ns for one in of.values())


def test_a_block_does_not_begin_while_the_probe_is_slow(bench: Bench) -> None:
    speeds = iter([*[100.0] * 30, 79.0, 50.0, *[100.0] * 1000])
    bench.probe = lambda: next(speeds)
    blocks = [block for run in bench.run() for series in run.series for block in series.blocks]
    assert all(block.accepted for block in blocks)
    assert [block.waits for block in blocks if block.waits] == [2]


def test_when_it_is_late_or_patience_is_over_nothing_is_waited_for_nor_repeated(bench: Bench) -> None:
    made = []
    for limit_s, patience_s in ((0.0, 600.0), (600.0, 0.0), (600.0, 600.0)):
        bench.probe = partial(next, iter([100.0] * 60), 50.0)
        # Of one baseline alone none is the costliest, which would sit out.
        profile = replace(PROFILE, patience_s=patience_s)
        runs = bench.run({"limit_s": limit_s, "profile": profile, "baselines": (_named("fast"),)})
        made.append([block for run in runs for series in run.series for block in series.blocks])
    assert [any(block.waits for block in blocks) for blocks in made] == [False, False, True]
    assert len(made[0]) == len(made[1]) < len(made[2])


def test_rounds_that_there_is_no_time_for_are_left_out_but_for_those_a_verdict_needs(bench: Bench) -> None:
    profile = replace(PROFILE, pairs=8, least_pairs=3)
    assert {run.round for run in bench.run({"profile": profile, "limit_s": 600.0})} == set(range(9))
    assert LeftOut not in {type(event) for event in bench.events}
    assert {run.round for run in bench.run({"profile": profile, "limit_s": 0.0})} == {0, 1, 2, 3}
    assert LeftOut(what="5 of 8 pairs") in bench.events


def test_when_it_is_late_the_costliest_baseline_sits_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("slow", "fast", "fair", "quick", "brisk")
    bench.call_ns = dict.fromkeys(("mine", *names), 10 * MS)
    clock = count()

    def measured(subject: Subject, worker: FakeWorker, gauge: Gauge) -> Series:
        # A second passes with every look at the clock.
        for _ in range(100 if subject.implementation.name == "slow" else 1):
            next(clock)
        return measure_series(subject, worker, gauge)

    monkeypatch.setattr("validation.performance.measure.time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    monkeypatch.setattr("validation.performance.measure.measure_series", measured)
    profile = replace(PROFILE, pairs=3, least_pairs=3)
    runs = bench.run({"limit_s": 0.0, "baselines": tuple(map(_named, names)), "profile": profile})
    took_part = {
        run.round: {series.implementation for series in run.series} for run in runs if run.role is Role.BASELINES
    }
    assert took_part == {0: set(names), 1: set(names), 2: set(names[1:]), 3: set(names[1:])}
    assert LeftOut(what="slow in 2 rounds") in bench.events


def rounds_of(runs: Sequence[ProcessRun], name: str) -> list[int]:
    return [run.round for run in runs for series in run.series if series.implementation == name]


def test_a_baseline_of_few_pairs_takes_part_until_so_many_count(bench: Bench) -> None:
    baselines = (replace(_named("slow"), most_pairs=8), _named("fast"))
    fields = {"baselines": baselines, "profile": replace(PROFILE, pairs=11)}
    assert rounds_of(bench.run(fields), "slow") == list(range(9))

    def slow_in_round_eight() -> float:
        return 50.0 if [event for event in bench.events if isinstance(event, ProcessStarted)][-1].round == 8 else 100.0

    bench.probe = slow_in_round_eight
    runs = bench.run(fields)
    assert rounds_of(runs, "slow") == list(range(10))
    assert rounds_of(runs, "fast") == list(range(12))
    # A run that was cut off knows which of its processes count.
    assert rounds_of(bench.run(fields, finished=[run for run in runs if run.round <= 8]), "slow") == [9]


def test_a_machine_that_stays_slow_is_measured_as_it_is(bench: Bench) -> None:
    slow_from_round(bench, 9)
    runs = bench.run({"profile": replace(PROFILE, pairs=9)})
    counted = [series for run in runs if run.round == 9 for series in run.series]
    assert {sum(block.waits for block in series.blocks) for series in counted} == {10}
    assert not any(series.accepted_ns for series in counted)


def test_the_usual_probe_of_the_whole_run_judges_every_block(bench: Bench) -> None:
    speeds = iter([*[79.0] * 40, *[100.0] * 10_000])
    bench.probe = lambda: next(speeds)
    runs = bench.run()
    assert runs[0].series[0].accepted_ns
    rule = probe_rule(runs)
    assert rule is not None
    assert rule.usual_flop_per_s == 100.0
    assert not apply_rule(runs, rule)[0].series[0].accepted_ns


@pytest.mark.parametrize("hidden", [0.5, -0.5])
def test_a_clock_that_tells_less_or_more_than_the_parents_is_recorded(bench: Bench, hidden: float) -> None:
    bench.hidden = hidden
    blocks = [block for run in bench.run() for series in run.series for block in series.blocks]
    assert {block.reason for block in blocks} == {CLOCK_DISAGREES}
    assert not any(block.accepted for block in blocks)


def test_clocks_that_disagreed_are_not_accepted_by_any_rule(bench: Bench) -> None:
    bench.hidden = 0.5
    runs = bench.run()
    rule = probe_rule(runs)
    assert rule is not None
    assert not any(series.accepted_ns for run in apply_rule(runs, rule) for series in run.series)


def test_one_failing_baseline_does_not_stop_the_other(bench: Bench) -> None:
    bench.flaws = frozenset({"fast cannot be loaded"})
    (*_, last) = [run for run in bench.run() if run.role is Role.BASELINES]
    assert [series.implementation for series in last.series] == ["slow"]
    assert last.ended == "fast: import: SyntaxError: invalid syntax"


def test_a_death_is_recorded_and_the_run_goes_on(bench: Bench) -> None:
    bench.flaws = frozenset({"dies"})
    runs = bench.run()
    assert len(runs) == 9
    assert {run.ended for run in runs} == {"start: killed by signal SIGKILL"}
    assert {run.workload for run in runs} == {"tiny"}
    assert sum(isinstance(event, ProcessFailed) for event in bench.events) == 9


def test_what_was_finished_is_not_measured_again(bench: Bench) -> None:
    finished = bench.run()[:4]
    assert {(run.round, run.position) for run in bench.run(finished=finished)} == {
        (1, 1),
        (1, 2),
        (2, 0),
        (2, 1),
        (2, 2),
    }


def test_an_interrupt_closes_every_worker(bench: Bench) -> None:
    def interrupt() -> float:
        raise KeyboardInterrupt

    bench.probe = interrupt
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert bench.workers
    assert all(worker.closed for worker in bench.workers)


def test_the_display_hears_of_every_series(bench: Bench) -> None:
    bench.run()
    heard = [event for event in bench.events if isinstance(event, SeriesMeasured)]
    assert len(heard) == 3 * 4
    assert {event.median_ns for event in heard if event.implementation == "mine"} == {10 * MS}


def test_rows_of_the_bank_come_as_an_array(bench: Bench) -> None:
    bench.run()
    assert np.asarray(bench.rows).shape[1] == WORKLOAD.tokens
