"""Calls that the parent alone times: how many, and what asking for them costs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.implementations.kernels import forward_kernel
from validation.implementations.answer import BlockOutput, Output
from validation.implementations.manner import UNCLOCKED, USUAL, Manner
from validation.implementations.process import Worker
from validation.implementations.unclocked import calls_of, measure_unclocked_price
from validation.workloads.layer import Layer


def block(calls: int, parent_ns: int, *, told: bool) -> BlockOutput:
    x = torch.zeros(1)
    ids = torch.zeros(1, dtype=torch.int64) if told else None
    output = Output(out=x, ids=ids, weights=None, worker_ns=0, written=True, x_unchanged=True)
    return BlockOutput(outputs=(output,) * calls, parent_ns=parent_ns, guards_held=True)


class Asking:
    """A worker of whom a block costs 300 us, and a call 6 us, or 20 where it tells a routing; at times 1 ms more."""

    def __init__(self) -> None:
        self.asked = 0

    def call_block(self, inputs: Sequence[torch.Tensor], manner: Manner = USUAL) -> BlockOutput:
        assert manner == Manner(dry=True, clocked=False, tells=manner.tells)
        self.asked += 1
        late_ns = 1_000_000 if self.asked % 3 == 0 else 0
        return block(
            len(inputs), 300_000 + (20_000 if manner.tells else 6_000) * len(inputs) + late_ns, told=manner.tells
        )


@pytest.mark.parametrize(("told", "call_ns"), [(True, 20_000), (False, 6_000)])
def test_the_price_is_of_calls_that_tell_as_much(told: bool, call_ns: int) -> None:  # noqa: FBT001 -- a parameter
    price = measure_unclocked_price(Asking(), torch.zeros(1, 256))
    assert price is not None
    assert price.of(block(100, 0, told=told)) == 300_000 + 100 * call_ns
    both = replace(block(2, 0, told=True), outputs=(*block(1, 0, told=True).outputs, *block(3, 0, told=False).outputs))
    assert price.of(both) == 300_000 + 20_000 + 3 * 6_000


def test_of_large_inputs_and_of_long_calls_there_are_none() -> None:
    assert measure_unclocked_price(Asking(), torch.zeros(4096, 1024)) is None
    assert calls_of(torch.zeros(1, 256)) == 128
    assert calls_of(torch.zeros(1, 256), 100_000.0) == 50
    assert calls_of(torch.zeros(1, 256), 4_000_000.0) == 4
    assert calls_of(torch.zeros(1, 256), 6_000_000.0) == 0
    assert calls_of(torch.zeros(32, 1024), 100_000.0) == 8
    assert calls_of(torch.zeros(0, 256), 10.0) == 128


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        ("x, out", "out.fill_(3.0)"),
        ("x, out", "return torch.full_like(x, 3.0)"),
        ("x", "return torch.full_like(x, 3.0)"),
        ("*args", "args[1].fill_(3.0)"),
        ("x", "return torch.full_like(x, 3.0), torch.zeros(16, 2, dtype=torch.int64), torch.ones(16, 2)"),
    ],
)
def test_calls_of_every_form_are_made(  # noqa: PLR0913, PLR0917 -- fixtures
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor, parameters: str, body: str
) -> None:
    shared_worker.load(forward_kernel(tmp_path, body, parameters=parameters))
    shared_worker.prepare(layer)
    made = shared_worker.call_block([x] * 5, UNCLOCKED)
    assert made.guards_held
    assert made.in_time
    assert made.calls_ns == (0,) * 5
    assert all(one.settled and one.x_unchanged and bool((one.out == 3.0).all()) for one in made.outputs)
    assert all((one.ids is not None) == ("zeros" in body) for one in made.outputs)


def test_work_put_off_to_the_last_call_is_seen(
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    body = """
    outs = state.setdefault("outs", [])
    outs.append(out)
    for one in outs if len(outs) == 5 else ():
        one.fill_(3.0)
    """
    shared_worker.load(forward_kernel(tmp_path, body))
    shared_worker.prepare(layer)
    made = shared_worker.call_block([x] * 5, UNCLOCKED)
    assert [one.settled for one in made.outputs] == [False, False, False, False, True]


@pytest.mark.parametrize("tells", [False, True])
def test_a_dry_block_calls_no_kernel(shared_worker: Worker, x: torch.Tensor, tells: bool) -> None:  # noqa: FBT001
    made = shared_worker.call_block([x] * 5, Manner(dry=True, clocked=False, tells=tells))
    assert all((one.ids is not None) is tells for one in made.outputs)
