"""All calls of one implementation in one process: first call, warm-up, then blocks between two probes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy.typing as npt
import torch

from validation.cpu import available_cores
from validation.implementations.manner import COLD, UNCLOCKED, USUAL
from validation.implementations.unclocked import PAIRS, calls_of
from validation.performance.amiss import beside, others_share, seen_amiss
from validation.performance.batch import Batch, mixed
from validation.performance.gauge import MOST_WAITS
from validation.performance.sample import CLOCK_DISAGREES, SEEN_THEN, Block, Series, judged
from validation.performance.sustained import Sustained
from validation.performance.unclocked import Unclocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validation.implementations.answer import BlockOutput, Output
    from validation.implementations.clock import Price
    from validation.implementations.implementation import Implementation
    from validation.implementations.shared_layer import SharedLayer
    from validation.implementations.unclocked import UnclockedPrice
    from validation.performance.gauge import Gauge
    from validation.performance.profile import Profile
    from validation.performance.worker_like import WorkerLike
    from validation.workloads.inputs import TokenBank

Rows: TypeAlias = npt.NDArray[Any]

#: Whether what came out of a call on these rows of the bank is right: rows, out, ids, weights.
Check: TypeAlias = Callable[[Rows, torch.Tensor, torch.Tensor | None, torch.Tensor | None], bool]

#: Warm-up is never shorter, however long they take; the first call comes before it.
_LEAST_WARM_CALLS: Final = 1

#: Calls of the discarded round, which warms the machine; the first call and the warm-up come on top.
_DISCARDED_CALLS: Final = 2

#: Calls with an empty cache, and how long calls go on for the energy counter, in each process.
_COLD_CALLS: Final = 4
_SUSTAIN_S: Final = 0.4

#: A block's inputs and outputs stay below this together.
_MOST_BLOCK_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is measured: an implementation, on which layer and tokens and threads, how much, and how it is checked.

    `key` names the process: the batches drawn under it are no other process's. `unseen` draws batches of tokens that
    nobody has seen, for a candidate. With `energy` its calls are also made without a pause, long enough for a GPU's
    energy counter. With an `unclocked_price` its calls, if they are short, are made without a clock between them too.
    """

    implementation: Implementation
    bank: TokenBank
    layer: SharedLayer
    profile: Profile
    check: Check
    price: Price
    threads: int
    key: tuple[int | str, ...]
    unseen: Callable[[], Batch] | None = None
    discarded: bool = False
    energy: bool = False
    unclocked_price: UnclockedPrice | None = None


def measure_series(subject: Subject, worker: WorkerLike, gauge: Gauge) -> Series:
    """Returns every timed call of `subject` in `worker`.

    Raises:
        ImplementationFailed: the kernel failed; of this process nothing is kept.
    """
    workload, draws = subject.bank.workload, batches(subject)
    worker.load(subject.implementation)
    prepared = worker.prepare(subject.layer)
    first_ns = worker.call_block([next(draws).x]).calls_ns[0]
    call_ns = _warm_up(subject, worker, draws)
    blocks, unclocked = _blocks(subject, worker, gauge, draws, call_ns)
    cold_ns, cold_wrong = _cold(subject, worker, draws)
    if cold_wrong:
        blocks[-1] = blocks[-1].model_copy(update={"outputs_wrong": blocks[-1].outputs_wrong + cold_wrong})
    return Series(
        implementation=subject.implementation.name,
        workload=workload.name,
        dtype=workload.layer.dtype,
        device=workload.layer.device,
        prepare_ns=prepared.prepare_ns,
        prepare_bytes=prepared.prepare_bytes,
        first_call_ns=first_ns,
        blocks=tuple(blocks),
        cold_ns=cold_ns,
        sustained=_sustained(worker, gauge) if subject.energy and not subject.discarded else None,
        unclocked=unclocked,
    )


def batches(subject: Subject, *more: int | str) -> Iterator[Batch]:
    """Batches of the bank for call after call; none comes twice, nor under another key."""
    for call in count():
        rows = subject.bank.rows(*subject.key, *more, call=call)
        yield Batch(x=subject.bank.gather(rows), right=partial(subject.check, rows))


def _warm_up(subject: Subject, worker: WorkerLike, draws: Iterator[Batch]) -> float:
    """Makes the warm-up calls and returns what a warm call takes, ns: the median of the later half."""
    spent: list[int] = []
    while len(spent) < _LEAST_WARM_CALLS or sum(spent) < subject.profile.warm_s * 1e9:
        # Twice as many each time: short calls need not ask a thousand times.
        size = min(max(1, len(spent)), most_calls(subject))
        spent += worker.call_block([next(draws).x for _ in range(size)]).calls_ns
    return statistics.median(spent[len(spent) // 2 :])


def _blocks(
    subject: Subject,
    worker: WorkerLike,
    gauge: Gauge,
    draws: Iterator[Batch],
    call_ns: float,
) -> tuple[list[Block], tuple[Unclocked, ...]]:
    """Blocks until enough calls were accepted, the bound on repeats is reached, or patience is spent.

    Behind the first one of short calls, pairs of shorter ones, of which the parent alone times the second.
    """
    profile = subject.profile
    wanted = _DISCARDED_CALLS if subject.discarded else profile.calls_of(call_ns)
    size = min(profile.block_calls(call_ns), most_calls(subject), wanted)
    # At least two more than planned, so that a process of one or two blocks can repeat one as well.
    planned = -(-wanted // size)
    bound = planned if subject.discarded else max(int(profile.retry * planned), planned + 2)
    if subject.implementation.graph:
        # Every place of a block is captured now, not while the parent's clock runs.
        worker.call_block([next(draws).x for _ in range(size)])
    timed = mixed(draws, subject.unseen, wanted)
    blocks: list[Block] = []
    unclocked: tuple[Unclocked, ...] = ()
    worker.settle()
    while len(blocks) < bound and sum(len(block.calls_ns) for block in blocks if block.accepted) < wanted:
        repeats = len(blocks) >= planned
        if repeats and not gauge.patient:
            break
        most_waits = MOST_WAITS - sum(block.waits for block in blocks)
        before_s, started = gauge.spent_s, time.monotonic()
        blocks.append(_block(subject, worker, gauge, [next(timed) for _ in range(size)], most_waits))
        if repeats:
            gauge.spent_s = before_s + time.monotonic() - started
        # An earlier block stands or falls by the usual probe of now.
        blocks = [judged(block, gauge.rule) for block in blocks]
        if len(blocks) == 1:
            unclocked = _unclocked(subject, worker, draws, blocks)
    if subject.price.hides(blocks):
        hidden = {"accepted": False, "reason": CLOCK_DISAGREES}
        blocks = [block if block.reason in SEEN_THEN else block.model_copy(update=hidden) for block in blocks]
    return blocks, unclocked


def _block(
    subject: Subject,
    worker: WorkerLike,
    gauge: Gauge,
    batches: Sequence[Batch],
    most_waits: int,
) -> Block:
    """One block between its probes, its outputs checked after everything that is timed.

    The worker's threads sleep when it begins, and when it ends.
    """
    (before, waits), ran_before = beside(worker, lambda: gauge.await_full_speed(most_waits))
    gpu_before = gauge.state()
    made = worker.call_block([batch.x for batch in batches])
    gpu_after = gauge.state()
    worker.settle()
    after, ran_after = beside(worker, gauge.read)
    on_gpu = subject.bank.workload.layer.device == "cuda"
    agrees = made.in_time and subject.price.agrees(made.calls_ns, made.parent_ns, made.hosts_ns)
    wrong = wrong_outputs(batches, made.outputs)
    return judged(
        Block(
            probe_before=before,
            probe_after=after,
            accepted=False,
            reason=seen_amiss(subject, made, agrees=agrees, ran=ran_before or ran_after),
            parent_ns=made.parent_ns,
            calls_ns=made.calls_ns,
            unseen=tuple(place for place, batch in enumerate(batches) if batch.unseen),
            # A broken guard is nobody's in particular: it spoils one output at least.
            outputs_wrong=max(wrong, int(not made.guards_held)),
            waits=waits,
            others_share=others_share(subject, made),
            hosts_ns=made.hosts_ns if on_gpu else (),
            gpu_before=gpu_before,
            gpu_after=gpu_after,
        ),
        gauge.rule,
    )


def _unclocked(
    subject: Subject, worker: WorkerLike, draws: Iterator[Batch], blocks: list[Block]
) -> tuple[Unclocked, ...]:
    """Calls as short as those of the only one of `blocks`, timed by both and by the parent alone, in turn.

    A wrong output of theirs spoils that block.
    """
    price, (first,) = subject.unclocked_price, blocks
    if price is None or subject.discarded:
        return ()
    calls = min(calls_of(next(draws).x, statistics.median(first.calls_ns)), most_calls(subject))
    drawn = [[next(draws) for _ in range(calls)] for _block in range(2 * PAIRS if calls else 0)]
    # Their outputs are checked when all are made: that work lies between no two of them.
    turns = zip(cycle((USUAL, UNCLOCKED)), drawn, strict=False)
    made = [worker.call_block([one.x for one in block], manner) for manner, block in turns]
    wrong = sum(_wrong_of(block, answered) for block, answered in zip(drawn, made, strict=True))
    blocks[0] = first.model_copy(update={"outputs_wrong": first.outputs_wrong + wrong})
    worker.settle()
    return tuple(
        Unclocked(
            calls=calls,
            clocked_ns=sum(clocked.calls_ns),
            parent_ns=unclocked.parent_ns,
            asking_ns=price.of(unclocked),
        )
        for clocked, unclocked in zip(made[::2], made[1::2], strict=True)
    )


def _wrong_of(batches: Sequence[Batch], made: BlockOutput) -> int:
    """How many outputs of a block are wrong; one at least where it was not over when it was answered for."""
    return max(wrong_outputs(batches, made.outputs), int(not made.guards_held or not made.in_time))


def _cold(subject: Subject, worker: WorkerLike, draws: Iterator[Batch]) -> tuple[tuple[int, ...], int]:
    """Calls on a GPU whose cache was emptied before each, and how many of their outputs were wrong; none on a CPU."""
    if subject.discarded or subject.bank.workload.layer.device != "cuda":
        return (), 0
    drawn = [next(draws) for _ in range(min(_COLD_CALLS, most_calls(subject)))]
    made = worker.call_block([batch.x for batch in drawn], COLD)
    wrong = wrong_outputs(drawn, made.outputs)
    return made.calls_ns, max(wrong, int(not made.guards_held))


def _sustained(worker: WorkerLike, gauge: Gauge) -> Sustained:
    """The last block's calls without a pause, after a while of them: the energy counter lags by some 20 ms."""
    worker.sustain(_SUSTAIN_S / 2)
    before = gauge.energy_j()
    made = worker.sustain(_SUSTAIN_S)
    after = gauge.energy_j()
    energy_j = None if before is None or after is None else after - before
    return Sustained(calls=made.calls, parent_ns=made.parent_ns, energy_j=energy_j)


def wrong_outputs(batches: Sequence[Batch], outputs: Sequence[Output]) -> int:
    """Returns how many calls did not write the right answer in time or did not leave their input as it was.

    The kernel sleeps meanwhile, so every core may check: NumPy's loops over whole outputs release the GIL.
    """
    with ThreadPoolExecutor(len(available_cores())) as pool:
        called = zip(batches, outputs, strict=True)
        return sum(pool.map(lambda call: not _right(*call), called))


def _right(batch: Batch, output: Output) -> bool:
    in_time = output.written and output.settled
    return in_time and output.x_unchanged and batch.right(output.out, output.ids, output.weights)


def most_calls(subject: Subject) -> int:
    """Returns how many calls' tensors the shared memory of a block holds."""
    layer = subject.bank.workload.layer
    call_bytes = 2 * subject.bank.workload.tokens * layer.d_model * layer.element_bytes
    return max(1, min(subject.profile.most_block_calls, _MOST_BLOCK_BYTES // max(call_bytes, 1)))
