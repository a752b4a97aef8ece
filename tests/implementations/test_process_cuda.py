"""Workers on a real GPU; without one these tests say so, and test_device.py holds what needs none."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.implementations.kernels import CONFIG, HONEST, forward_kernel, kernel
from tests.implementations.test_process import answer
from validation.implementations.failure import ImplementationFailed
from validation.implementations.limits import Limits
from validation.implementations.process import Worker
from validation.workloads.inputs import draw_tokens, make_layer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

LAYER = make_layer(CONFIG)
X = draw_tokens(CONFIG, 16)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(threads=1, limits=Limits(seconds=60), device="cuda") as opened:
        yield opened


def test_a_kernel_gets_its_tensors_on_the_gpu_and_its_answer_comes_back(worker: Worker, tmp_path: Path) -> None:
    worker.load(kernel(tmp_path, HONEST))
    worker.prepare(LAYER)
    torch.testing.assert_close(worker.call(X).out, answer(LAYER, X))


@pytest.mark.parametrize("graph", [False, True])
def test_every_call_of_a_block_has_its_own_answer_also_in_graphs(worker: Worker, tmp_path: Path, graph: bool) -> None:  # noqa: FBT001
    doubling = forward_kernel(tmp_path, "torch.mul(x, 2, out=out)")
    worker.load(replace(doubling, graph=graph))
    worker.prepare(LAYER)
    for _again in range(2):
        inputs = [torch.randn_like(X) for _ in range(4)]
        made = worker.call_block(inputs)
        assert made.guards_held
        assert all(torch.equal(output.out, x * 2) for output, x in zip(made.outputs, inputs, strict=True))


def test_a_write_outside_the_output_on_the_gpu_is_told(worker: Worker, tmp_path: Path) -> None:
    body = "out.copy_(x)\nout.as_strided((len(x) + 1, x.shape[1]), out.stride())[-1] = 0.0"
    worker.load(forward_kernel(tmp_path, body))
    worker.prepare(LAYER)
    with pytest.raises(ImplementationFailed, match="wrote outside out"):
        worker.call(X)


def test_an_output_left_on_the_host_is_told(worker: Worker, tmp_path: Path) -> None:
    worker.load(forward_kernel(tmp_path, "return x.cpu()", parameters="x"))
    worker.prepare(LAYER)
    with pytest.raises(ImplementationFailed, match="must be on cuda"):
        worker.call(X)


def test_a_kernel_that_runs_out_of_the_gpus_memory_leaves_the_process_usable(worker: Worker, tmp_path: Path) -> None:
    worker.load(forward_kernel(tmp_path, "torch.empty(1 << 50, dtype=torch.uint8, device=x.device)"))
    worker.prepare(LAYER)
    with pytest.raises(ImplementationFailed, match="memory"):
        worker.call(X)
    worker.load(forward_kernel(tmp_path, "out.copy_(x)", name="small"))
    worker.prepare(LAYER)
    assert torch.equal(worker.call(X).out, X)
