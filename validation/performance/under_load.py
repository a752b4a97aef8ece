"""Latency under a load: requests arrive, wait in one queue, and are served in turn by a server that has every core.

A closed loop of c clients sends the next request of each when its last one returns, so c are in flight. An open loop
draws arrivals that do not wait for anybody (Poisson), as users of a service do. Everything is real: the server sleeps
until a request is due, copies it in, calls the kernel, copies its routing out. One server, because the kernels here
use all cores for one call; two at once would share them and gain nothing.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from validation.claims.claim import Arrivals, Load
from validation.implementations.manner import Manner
from validation.performance.amiss import beside, others_share, seen_amiss
from validation.performance.batch import mixed
from validation.performance.load import LoadRun, judged_load
from validation.performance.series import batches, most_calls, wrong_outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.performance.gauge import Gauge
    from validation.performance.series import Subject
    from validation.performance.worker_like import WorkerLike


def measure_load(subject: Subject, load: Load, worker: WorkerLike, gauge: Gauge, turn: int) -> LoadRun:
    """Returns what the profile's number of requests took under `load`; the kernel is prepared and warm in `worker`.

    Some requests are of tokens that nobody has seen, more than one in twenty: a P95 is theirs where they take longer.

    Raises:
        ImplementationFailed: the kernel failed.
    """
    workload = subject.bank.workload
    filling = load.concurrency if load.arrivals is Arrivals.CLOSED and load.concurrency > 1 else 0
    count = min(subject.profile.requests + filling, most_calls(subject))
    draws = mixed(batches(subject, "load", load.arrivals.value, load.concurrency), subject.unseen, count)
    sent = [next(draws) for _ in range(count)]
    due = () if load.per_s is None else arrivals_ns(count, load.per_s, ":".join(map(str, subject.key)))
    worker.settle()
    (before, _waits), ran_before = beside(worker, gauge.await_full_speed)
    made = worker.call_block([batch.x for batch in sent], Manner(due_ns=due))
    worker.settle()
    after, ran_after = beside(worker, gauge.read)
    agrees = made.in_time and made.ends_ns[-1] <= made.parent_ns
    wrong = wrong_outputs(sent, made.outputs)
    run = LoadRun(
        implementation=subject.implementation.name,
        workload=workload.name,
        dtype=workload.layer.dtype,
        device="cuda" if workload.layer.device == "cuda" else "cpu",
        load=load,
        round=turn,
        probe_before=before,
        probe_after=after,
        accepted=False,
        reason=seen_amiss(subject, made, agrees=agrees, ran=ran_before or ran_after),
        parent_ns=made.parent_ns,
        latencies_ns=latencies_ns(made.ends_ns, due, load.concurrency),
        outputs_wrong=max(wrong, int(not made.guards_held)),
        others_share=others_share(subject, made),
    )
    return judged_load(run, gauge.rule)


def arrivals_ns(count: int, per_s: float, key: str) -> tuple[int, ...]:
    """Returns when each of `count` requests is due, from the first one on: exponential gaps, `per_s` on average."""
    draw = random.Random(key)
    at, found = 0.0, []
    for _ in range(count):
        found.append(round(at))
        at += -math.log(1.0 - draw.random()) / per_s * 1e9
    return tuple(found)


def latencies_ns(ends_ns: Sequence[int], due_ns: Sequence[int], concurrency: int) -> tuple[int, ...]:
    """Returns each request's time from its arrival to its end.

    Without `due_ns` the loop is closed: a request arrives when the one `concurrency` before it has ended, and those
    before which none ended are left out, unless one at a time are sent: that one arrives at 0.
    """
    if due_ns:
        return tuple(end - due for end, due in zip(ends_ns, due_ns, strict=True))
    starts = (0, *ends_ns) if concurrency == 1 else ends_ns
    ends = ends_ns if concurrency == 1 else ends_ns[concurrency:]
    return tuple(end - start for start, end in zip(starts, ends, strict=False))
