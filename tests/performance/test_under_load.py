"""Requests under a load: when they come, how long each takes from its arrival, and which processes count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from validation.claims.claim import Arrivals, Load
from validation.implementations.answer import BlockOutput, Output, Prepared, Sustained
from validation.implementations.clock import Price
from validation.implementations.implementation import Implementation
from validation.implementations.manner import USUAL, Manner
from validation.implementations.shared_layer import SharedLayer
from validation.performance.batch import Batch
from validation.performance.gauge import Gauge
from validation.performance.load import LoadRun, accepts_load, judged_load
from validation.performance.overhead import measure_overhead_share
from validation.performance.profile import Profile
from validation.performance.sample import CLOCK_DISAGREES, CORES_EXCEEDED, PROBE_SLOW, ProbeRule
from validation.performance.series import Subject
from validation.performance.under_load import arrivals_ns, latencies_ns, measure_load
from validation.workloads.inputs import TokenBank, make_layer
from validation.workloads.layer import LayerConfig
from validation.workloads.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MS = 1_000_000
WORKLOAD = Workload(name="tiny", tokens=4, layer=LayerConfig(d_model=8, d_ff=8, n_experts=2, top_k=1))
PROFILE = Profile(name="test", pairs=2, least_calls=5, budget_s=0.4, warm_s=0.06, requests=20)
CLOSED_10 = Load(arrivals=Arrivals.CLOSED, concurrency=10)
ARRIVING = Load(arrivals=Arrivals.OPEN, per_s=50.0)


class Server:
    """A worker that takes 5 ms a request and 0.1 ms for one without tokens, by a clock of its own."""

    def __init__(self, *, wrong: int = 0, slow_clock: int = 0, cores: float = 2.0) -> None:
        self.wrong, self.slow_clock, self.cores = wrong, slow_clock, cores
        self.due_ns: Sequence[int] = ()
        self.doings: tuple[()] = ()
        self.reports_closed = False

    def start(self) -> None: ...

    def load(self, implementation: Implementation) -> str:
        return implementation.name

    def prepare(self, layer: SharedLayer) -> Prepared:
        del layer
        return Prepared(prepare_ns=1, prepare_bytes=1)

    def call_block(self, inputs: Sequence[torch.Tensor], manner: Manner = USUAL) -> BlockOutput:
        assert replace(manner, due_ns=()) == USUAL
        self.due_ns = manner.due_ns
        now, ends, outputs = 0, [], []
        for number, (x, due) in enumerate(zip(inputs, manner.due_ns or [0] * len(inputs), strict=True)):
            took = 5 * MS if len(x) else MS // 10
            now = max(now, due) + took
            ends.append(now)
            out = x + 1.0 if number < self.wrong else x
            outputs.append(Output(out=out, ids=None, weights=None, worker_ns=took, written=True, x_unchanged=True))
        return BlockOutput(
            outputs=tuple(outputs),
            parent_ns=now + 1 - self.slow_clock,
            guards_held=True,
            ends_ns=tuple(ends),
            cpu_ns=int(self.cores * now),
        )

    def sustain(self, seconds: float) -> Sustained:
        return Sustained(calls=round(seconds * 1000), parent_ns=round(seconds * 1e9))

    def settle(self) -> None: ...

    def displaced(self) -> tuple[str, ...]:
        return ()

    def state(self) -> dict[str, str]:
        return {}

    def cpu_ns(self) -> int:
        return 0

    def libraries(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validation.performance.gauge._PAUSE_S", 0.0)


@pytest.fixture
def subject() -> Iterator[Subject]:
    bank = TokenBank.draw(WORKLOAD)

    def check(rows: Any, out: torch.Tensor, ids: torch.Tensor | None, weights: torch.Tensor | None) -> bool:
        del ids, weights
        return torch.equal(out, bank.gather(rows))

    with SharedLayer.of(make_layer(WORKLOAD.layer)) as shared:
        yield Subject(
            implementation=Implementation(name="mine", source=Path("x.py"), family="test", description=""),
            bank=bank,
            layer=shared,
            profile=PROFILE,
            check=check,
            price=Price(block_ns=0, call_ns=0),
            threads=2,
            key=(1, "candidate", "mine"),
        )


def served(
    subject: Subject, load: Load, server: Server | None = None, probe: Callable[[], float] = lambda: 1.0
) -> LoadRun:
    return measure_load(subject, load, server or Server(), Gauge(probe=probe), 1)


def test_ten_in_flight_wait_for_one_another(subject: Subject) -> None:
    assert served(subject, CLOSED_10).latencies_ns == (50 * MS,) * 20


def test_one_at_a_time_waits_for_nobody(subject: Subject) -> None:
    assert served(subject, Load()).latencies_ns == (5 * MS,) * 20


def test_the_filling_of_a_closed_loop_is_not_counted() -> None:
    assert latencies_ns((1, 2, 3, 4, 5), (), 3) == (3, 3)


def test_arrivals_do_not_wait_for_answers(subject: Subject) -> None:
    server = Server()
    run = served(subject, ARRIVING, server)
    assert server.due_ns
    assert len(run.latencies_ns) == 20
    assert min(run.latencies_ns) == 5 * MS
    # 20 ms apart on average, 5 ms each: some come while another is served, most do not.
    assert 5 * MS < max(run.latencies_ns) < 50 * MS


def test_arrivals_are_poisson_and_repeat_with_their_key() -> None:
    due = np.array(arrivals_ns(20_000, 50.0, "key"))
    gaps = np.diff(due) / 1e9
    assert gaps.mean() == pytest.approx(0.02, rel=0.03)
    # An exponential's spread is its mean; even or clocked arrivals have less.
    assert gaps.std() == pytest.approx(0.02, rel=0.05)
    assert arrivals_ns(5, 50.0, "key") == tuple(due[:5])
    assert arrivals_ns(5, 50.0, "another") != tuple(due[:5])


def test_every_answer_under_load_is_checked(subject: Subject) -> None:
    assert served(subject, CLOSED_10).outputs_wrong == 0
    assert served(subject, CLOSED_10, Server(wrong=3)).outputs_wrong == 3


def test_some_requests_are_of_tokens_that_nobody_has_seen(subject: Subject) -> None:
    bank = subject.bank
    made: list[torch.Tensor] = []

    def unseen() -> Batch:
        x = torch.full_like(bank.gather(bank.rows("any", call=0)), float(len(made)))
        made.append(x)
        return Batch(x=x, right=lambda out, _ids, _weights: torch.equal(out, x), unseen=True)

    known = replace(subject, unseen=unseen, profile=replace(PROFILE, requests=400, most_block_calls=400))
    assert served(known, Load()).outputs_wrong == 0
    # One in eight of 400: fewer than 20, one in twenty, once in a million runs.
    assert 20 < len(made) < 100


def test_requests_beside_a_slow_probe_are_rejected_and_kept(subject: Subject) -> None:
    speeds = iter([100.0, 50.0])
    run = served(subject, CLOSED_10, probe=lambda: next(speeds))
    assert (run.accepted, run.reason, len(run.latencies_ns)) == (False, PROBE_SLOW, 20)


def test_requests_that_end_after_the_parent_had_its_answer_are_rejected(subject: Subject) -> None:
    run = served(subject, CLOSED_10, Server(slow_clock=2))
    assert (run.accepted, run.reason) == (False, CLOCK_DISAGREES)
    assert not accepts_load(None, run)
    assert judged_load(run, ProbeRule(usual_flop_per_s=1.0)).reason == CLOCK_DISAGREES


def test_requests_served_by_more_cores_than_were_given_are_rejected(subject: Subject) -> None:
    run = served(subject, CLOSED_10, Server(cores=2.4))
    assert (run.accepted, run.reason) == (False, CORES_EXCEEDED)


def test_an_empty_calls_share_is_of_a_full_one(subject: Subject) -> None:
    share = measure_overhead_share(subject.bank, subject.key, Server(), Gauge(probe=lambda: 1.0))
    assert share == pytest.approx(0.02)


def test_no_share_is_told_of_a_machine_that_was_never_at_full_speed(subject: Subject) -> None:
    # Fast only before anything is measured.
    probe = Gauge(probe=lambda: 50.0, before=100.0)
    assert measure_overhead_share(subject.bank, subject.key, Server(), probe) is None
