"""How many calls on one token a kernel is asked: as many as a timed process makes, unless asking itself takes long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
import torch

from tests.reference.loading import load
from validation.correctness.integrity import script as look
from validation.correctness.integrity.answered import Answered
from validation.correctness.integrity.few_tokens import in_small_batches, singly
from validation.correctness.integrity.observation import Scene
from validation.correctness.integrity.recorder import Recorder
from validation.correctness.planted_cheats import FOLDER
from validation.implementations.answer import BlockOutput, Output
from validation.implementations.kernel_spec import parse_kernel
from validation.performance.profile import PROFILES, STANDARD, on_gpu
from validation.workloads.inputs import TokenBank, make_layer
from validation.workloads.shape import parse_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from validation.implementations.manner import Manner
    from validation.implementations.process import Worker

US: Final = 1_000
MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A worker whose clocks are made up: what a call takes, and what the parent waits for it."""

    forward: Callable[..., Any]
    call_ns: int
    asking_ns: int
    others_share: float = 0.0
    doings: tuple[()] = ()

    def call_block(self, inputs: Sequence[torch.Tensor], _manner: Manner) -> BlockOutput:
        outputs = tuple(self.output(x) for x in inputs)
        parent_ns = self.asking_ns * len(inputs)
        return BlockOutput(outputs=outputs, parent_ns=parent_ns, guards_held=True, others_share=self.others_share)

    def cpu_ns(self) -> int:
        return 0

    def output(self, x: torch.Tensor) -> Output:
        out = torch.empty_like(x)
        self.forward(x, out)
        return Output(out=out, ids=None, weights=None, worker_ns=self.call_ns, written=True, x_unchanged=True)


@pytest.mark.parametrize(
    ("call_ns", "asking_ns", "least", "most"),
    [
        (10 * US, 60 * US, 4097, 4097),
        # Its calls take 0.1 s together after 100.
        (1 * MS, 1 * MS + 60 * US, 101, 201),
        # A thread of its own holds the interpreter between the calls: 40 s for all of them.
        (10 * US, 10 * MS, 201, 401),
    ],
    ids=["short calls", "long calls", "long asking"],
)
def test_calls_on_one_token_end_with_their_number_their_time_or_the_parents(
    call_ns: int, asking_ns: int, least: int, most: int
) -> None:
    workload = parse_shape("32x16x16-E2-k1-float32")
    layer = make_layer(workload.layer)
    forward = load(parse_kernel(str(FOLDER / "honest_layer.py")))(layer)
    worker = cast("Worker", Asked(forward=forward, call_ns=call_ns, asking_ns=asking_ns))
    recorder = Recorder(implementation=parse_kernel(str(FOLDER / "honest_layer.py")), threads=1, floor_ns=None)
    alone = Answered(TokenBank.draw(workload), layer).by(1)
    singly(recorder, worker, layer, alone, alone)
    # Then come pairs of a fresh and a known block.
    blocks = list(takewhile(lambda block: block.scene is Scene.ONE, recorder.observation().blocks))
    assert all(all(block.right) for block in blocks)
    # The first one is made before they are counted.
    assert least <= sum(len(block.calls_ns) for block in blocks) <= most
    # Both banks' tokens come as often, each right behind fresh ones.
    pairs = [block.scene for block in recorder.observation().blocks[len(blocks) :]]
    assert pairs == [Scene.ONE_FRESH, Scene.ONE, Scene.ONE_FRESH, Scene.ONE_PUBLISHED] * 13


def test_batches_of_a_few_tokens_are_fresh_ones_and_then_those_of_as_small_a_workload() -> None:
    workload = parse_shape("600x16x16-E2-k1-float32")
    layer, honest = make_layer(workload.layer), parse_kernel(str(FOLDER / "honest_layer.py"))
    known = TokenBank.draw(workload)
    batches: list[torch.Tensor] = []
    forward = load(honest)(layer)

    def noted(x: torch.Tensor, out: torch.Tensor) -> None:
        batches.append(x)
        forward(x, out)

    recorder = Recorder(implementation=honest, threads=1, floor_ns=None)
    worker = cast("Worker", Asked(forward=noted, call_ns=MS, asking_ns=MS))
    in_small_batches(recorder, worker, layer, Answered(known, layer))
    blocks = recorder.observation().blocks
    assert [block.scene for block in blocks] == [Scene.FEW_FRESH, Scene.FEW_FRESH, Scene.FEW] * 13
    assert all(all(block.right) for block in blocks)
    drawn = [batches[place : place + 5] for place in range(0, len(batches), 5)]
    assert len({len(batch) for five in drawn for batch in five}) > 3
    for first, *others in drawn:
        assert 2 <= len(first) <= 512
        assert {len(batch) for batch in others} == {len(first)}
        # Of the rows that a published workload of so many tokens has, and none of the fresh ones.
        own = {row.numpy().tobytes() for row in TokenBank.draw(replace(workload, tokens=len(first))).tokens}
        known_rows = [[row.numpy().tobytes() in own for row in batch] for batch in (first, *others)]
        assert [all(rows) for rows in known_rows] == [False, False, False, True, True]
        assert not any(map(any, known_rows[:3]))


def test_what_others_took_is_seen_with_every_block() -> None:
    workload = parse_shape("32x16x16-E2-k1-float32")
    layer = make_layer(workload.layer)
    honest = parse_kernel(str(FOLDER / "honest_layer.py"))
    asked = Asked(forward=load(honest)(layer), call_ns=MS, asking_ns=MS, others_share=0.7)
    recorder = Recorder(implementation=honest, threads=1, floor_ns=None)
    alone = Answered(TokenBank.draw(workload), layer).by(1)
    singly(recorder, cast("Worker", asked), layer, alone, alone)
    observation = recorder.observation()
    assert {block.others_share for block in observation.blocks} == {0.7}
    assert observation.others_share == pytest.approx(0.7)


def test_a_look_begins_as_a_timed_process_does() -> None:
    assert {"cpu": STANDARD.warm_s * 1e9, "cuda": on_gpu(STANDARD).warm_s * 1e9} == look._WARM_NS
    assert {profile.block_s * 1e9 for profile in PROFILES.values()} == {look._BLOCK_NS}
    # As many calls as any profile makes in all of its time.
    assert max(profile.budget_s for profile in PROFILES.values()) * 1e9 == look._TIMED_NS
    assert (STANDARD.least_calls, max(profile.calls for profile in PROFILES.values())) == look._TIMED_CALLS
    assert on_gpu(STANDARD).most_block_calls == look._GPU_CALLS
