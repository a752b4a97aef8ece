"""Calls on one token, and on a few: as a timed process makes them, and known tokens beside fresh ones."""

from __future__ import annotations

import math
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from validation.correctness.integrity.answered import Answered
from validation.correctness.integrity.observation import Scene

if TYPE_CHECKING:
    from validation.correctness.integrity.recorder import Recorder
    from validation.implementations.process import Worker
    from validation.workloads.layer import Layer

#: Calls on one token, as many as a timed process makes while it warms up and is measured: 0.1 s of them or 4096.
_ONE_NS: Final = 100_000_000
_MOST_ONE: Final = 4096
ONE_BLOCK: Final = 256

#: Nor more than fit into this time by the parent's clock, where asking 4096 times takes 0.3 s. A kernel's thread that
#: never lets go of the interpreter makes each asking take 10 ms and more, in none of the calls' time: minutes in all.
_ONE_ASKING_NS: Final = 2_000_000_000

#: Blocks of calls on a fresh token, each with one of tokens of either bank behind it, and how many calls each has: as
#: many as fit into that time with one bank's, but no fewer or more than these.
_ONE_PAIRS: Final = 13
_ONE_FRESH: Final = (2, 8)

#: Pairs of blocks on a drawn number of tokens each, as likely below 32 as above: so many calls on fresh tokens, behind
#: a first one in which a kernel may compile itself, and then as many on the published seed's.
_FEW_PAIRS: Final = 13
_FEW_TOKENS: Final = (2, 512)
_FEW_CALLS: Final = 2


def singly(recorder: Recorder, worker: Worker, layer: Layer, known: Answered, seen: Answered) -> None:
    """Calls on one token each, more in every block, as a timed process of few tokens makes them; then pairs of blocks.

    Raises:
        ImplementationFailed: the kernel failed.
    """
    recorder.first(worker, Scene.ONE, seen)
    made = spent_ns = asking_ns = 0
    right = True
    # Thousands more of wrong outputs say nothing else, and are looked at one by one.
    while right and made < _MOST_ONE and spent_ns < _ONE_NS and asking_ns < _ONE_ASKING_NS:
        calls = min(max(made, 1), ONE_BLOCK)
        recorder.block(worker, Scene.ONE, seen, seen.draw(calls))
        block = recorder.blocks[-1]
        made, spent_ns, asking_ns = made + calls, spent_ns + sum(block.calls_ns), asking_ns + block.parent_ns
        right = all(block.right)
    least, most = _ONE_FRESH
    calls = min(max(least, _ONE_NS * made // max(spent_ns * _ONE_PAIRS, 1)), most)
    fresh = Answered.fresh(seen.bank.workload, layer, 2 * calls * _ONE_PAIRS)
    for _pair in range(_ONE_PAIRS):
        for scene, old in ((Scene.ONE, seen), (Scene.ONE_PUBLISHED, known)):
            recorder.block(worker, Scene.ONE_FRESH, fresh, fresh.draw(calls))
            recorder.block(worker, scene, old, old.draw(calls))


def in_small_batches(recorder: Recorder, worker: Worker, layer: Layer, known: Answered) -> None:
    """Calls on some tokens each, fewer than the workload's: the published seed's beside fresh ones.

    Raises:
        ImplementationFailed: the kernel failed.
    """
    workload = known.bank.workload
    least, most = _FEW_TOKENS
    most = min(most, workload.tokens - 1)
    for _pair in range(_FEW_PAIRS if least <= most else 0):
        tokens = round(least * math.exp(secrets.SystemRandom().random() * math.log(most / least)))
        fresh = Answered.fresh(replace(workload, tokens=tokens), layer, 1 + _FEW_CALLS)
        old = known.by(tokens)
        recorder.first(worker, Scene.FEW_FRESH, fresh)
        recorder.block(worker, Scene.FEW_FRESH, fresh, fresh.draw(_FEW_CALLS))
        recorder.block(worker, Scene.FEW, old, old.draw(_FEW_CALLS))
