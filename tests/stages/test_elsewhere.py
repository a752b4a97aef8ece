"""What a kernel does in the processes in which it is asked cases, tried on options and timed roughly counts too."""

import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.implementations.kernels import kernel
from validation.correctness.case import Gate, Outcome
from validation.correctness.integrity.doings import keeps_to_itself, kept_to_itself
from validation.correctness.looks import looked_at
from validation.correctness.spec import in_tiles
from validation.correctness.suite import find_case
from validation.correctness.survey import probe_spec
from validation.implementations.failure import ImplementationFailed
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.mailbox import LEFT_BEHIND, Doing
from validation.implementations.process import Worker
from validation.implementations.spawn import is_alive
from validation.stages.examine import examine
from validation.stages.pace import fitting
from validation.stages.subject import Running, Subject
from validation.usage import UsageError
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import LayerConfig

SIGNALS = """
import os

def prepare(layer):
    os.kill(os.getpid(), 0)
    return lambda x, out: out.zero_()
"""

#: It leaves a helper without a mark, and ends by itself.
LEAVES_A_HELPER = """
import os, subprocess, sys

def prepare(layer):
    command = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
    helper = subprocess.Popen(command, env={{}}, start_new_session=True)
    with open({place!r}, "w") as file:
        file.write(str(helper.pid))
    os._exit(0)
"""

#: Of odd widths it says no.
PICKY = """
import torch

def prepare(layer):
    config = layer.config
    if config.d_model % 16 or config.d_ff % 16:
        raise ValueError("widths must be multiples of 16")

    def forward(x):
        weights, ids = torch.softmax(x @ layer.router_weight, dim=-1).topk(config.top_k)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        hidden = torch.relu(torch.einsum("td,edf->etf", x, layer.w1))
        outputs = torch.einsum("etf,efd->ted", hidden, layer.w2)
        return (outputs[torch.arange(len(x))[:, None], ids] * weights[..., None]).sum(dim=1)

    return forward

prepare.offers = ()
"""

CONFIG = LayerConfig(d_model=16, d_ff=16, n_experts=4, top_k=2)


def subject(path: Path, source: str) -> Subject:
    return Subject(implementation=kernel(path, source, "mine"), threads=1)


def test_what_is_done_while_cases_are_asked_options_tried_and_calls_timed_is_heard(tmp_path: Path) -> None:
    one = subject(tmp_path, SIGNALS)
    of_cases, of_looks, of_pace = list[Doing](), list[Doing](), list[Doing]()
    with Running(one, of_cases) as running:
        running(make_layer(CONFIG), draw_tokens(CONFIG, 4))
    looked_at(one.implementation, [probe_spec(one.base, "float32")], 1, of_looks)
    fitting(one, find_case("random:64x16x16-E4-k2-float32").workload, of_pace)
    for heard in (of_cases, of_looks, of_pace):
        assert [doing.event for doing in heard if doing.stage == "prepare"] == ["os.kill"]
        found = kept_to_itself(
            Gate(gate=keeps_to_itself.__name__, implementation="mine", outcome=Outcome.PASSED), heard
        )
        assert found.outcome is Outcome.FAILED
        assert "os.kill" in found.message


@pytest.mark.parametrize("event", ["subprocess.Popen", "gc.get_objects"])
def test_a_compiler_is_no_fault_there_and_other_gates_stay(event: str) -> None:
    passed = Gate(gate=keeps_to_itself.__name__, implementation="mine", outcome=Outcome.PASSED)
    assert kept_to_itself(passed, [Doing(event=event, argument="g++", stage="prepare")]) == passed
    other = passed.model_copy(update={"gate": "guards_held"})
    assert kept_to_itself(other, [Doing(event="os.kill", argument="1, 9", stage="prepare")]) == other


def test_a_helper_left_by_a_process_that_ended_by_itself_is_ended_and_told(tmp_path: Path) -> None:
    place = tmp_path / "helper"
    one = subject(tmp_path, LEAVES_A_HELPER.format(place=str(place)))
    heard: list[Doing] = []
    looked_at(one.implementation, [probe_spec(one.base, "float32")], 1, heard)
    helper = int(place.read_text())
    deadline = time.monotonic() + 5
    while is_alive(helper) and "Z" not in Path(f"/proc/{helper}/stat").read_text().rpartition(")")[2][:3]:
        assert time.monotonic() < deadline
    assert any(doing.event == LEFT_BEHIND and "time.sleep" in doing.argument for doing in heard)


def test_every_process_loads_the_file_that_was_named(tmp_path: Path) -> None:
    path = tmp_path / "kernel.py"
    path.write_text("def prepare(layer):\n    return lambda x, out: out.zero_()\n")
    named = parse_kernel(str(path))
    with Worker(threads=1) as worker:
        worker.load(named)
    path.write_text("import hashlib\n\ndef prepare(layer):\n    return lambda x, out: out.zero_()\n")
    with Worker(threads=1) as worker, pytest.raises(ImplementationFailed, match=r"kernel\.py was changed since"):
        worker.load(named)
    with (
        pytest.raises(UsageError, match="was changed since"),
        Running(Subject(implementation=named, threads=1), []) as running,
    ):
        running.load()


def test_who_declines_odd_widths_is_asked_the_same_of_whole_tiles(tmp_path: Path) -> None:
    cases = examine(subject(tmp_path, PICKY), "smoke", Console(quiet=True)).cases
    asked = {case.id for case in cases}
    declined = [case.id for case in cases if case.outcome is Outcome.NOT_SUPPORTED and not case.shape.startswith("0x")]
    assert len(declined) > 20
    again = [in_tiles(find_case(one)) for one in declined]
    assert all(one is not None and one.id in asked for one in again)
    assert not [case.id for case in cases if case.outcome is Outcome.FAILED]


def test_only_odd_widths_are_filled_up() -> None:
    filled = in_tiles(find_case("split:65x33x48-E4-k2-float32"))
    assert filled is not None
    assert filled.id == "split:65x48x48-E4-k2-float32"
    assert in_tiles(filled) is None
    assert in_tiles(find_case("random:0x33x48-E4-k2-float32")) is None
