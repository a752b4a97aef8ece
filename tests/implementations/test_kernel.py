"""Kernels as their authors write them: annotated, classes, bare pointers; and what they are told when they fail."""

from pathlib import Path

import pytest
import torch

from tests.implementations.kernels import CONFIG, forward_kernel, kernel
from validation.implementations.failure import ImplementationFailed
from validation.implementations.process import Worker
from validation.implementations.worker.kernel import Form, form_of
from validation.workloads.inputs import make_layer
from validation.workloads.layer import Layer


def _raised(worker: Worker, folder: Path, layer: Layer, x: torch.Tensor, source: str) -> str:
    with pytest.raises(ImplementationFailed) as caught:  # noqa: PT012 -- whichever step it fails in
        worker.load(kernel(folder, source))
        worker.prepare(layer)
        worker.call(x)
    return caught.value.cause


def test_annotations_of_a_kernel_are_types_and_no_text(
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    source = """
        import torch
        class Moe(torch.nn.Module):
            k: int
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x * self.k
        assert Moe.__annotations__ == {"k": int}
        def prepare(layer):
            moe = Moe()
            moe.k = layer.config.top_k
            return torch.jit.script(moe)
    """
    shared_worker.load(kernel(tmp_path, source))
    shared_worker.prepare(layer)
    assert torch.equal(shared_worker.call(x).out, x * CONFIG.top_k)


class _Called:
    """Its own entry takes x; its `forward` is another function of the author's."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward(x, x, x)

    def forward(self, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return x + ids + weights


class _Module(torch.nn.Module):
    def forward(self, x: torch.Tensor, out: torch.Tensor) -> None:
        out.copy_(x)


def test_the_form_is_that_of_what_is_called() -> None:
    assert form_of(_Called()) is Form.RETURNS
    assert form_of(_Module()) is Form.FILLS
    assert form_of(lambda *args: args[0]) is Form.UNTOLD


def test_a_layer_lives_as_long_as_what_was_made_of_it(tmp_path: Path, x: torch.Tensor) -> None:
    # It keeps an address alone. Of memory that is unmapped it dies.
    source = """
        import ctypes
        import torch
        def prepare(layer):
            place, size = layer.w1.data_ptr(), 4 * layer.w1.numel()
            def forward(x):
                held = torch.frombuffer(bytearray(ctypes.string_at(place, size)), dtype=torch.float32)
                return torch.full_like(x, float(held.sum()))
            return forward
    """
    layers = [make_layer(CONFIG, seed) for seed in (1, 2)]
    with Worker(threads=1) as worker:
        worker.load(kernel(tmp_path, source))
        worker.prepare(layers[0])
        worker.prepare(layers[1], keep=1)
        for layer in (layers[1], layers[0], layers[1]):
            assert worker.call(x).out[0, 0] == layer.w1.sum()
            worker.back()


@pytest.mark.parametrize(
    ("body", "parameters", "advice"),
    [
        ("return 0", "x, out", "got builtins.int: return None after filling out"),
        ("return 0", "x", "got builtins.int"),
        ("return [x, None, None]", "x", "got builtins.list: return a tuple"),
    ],
)
def test_a_result_of_a_wrong_kind_is_told_what_to_return(  # noqa: PLR0913, PLR0917 -- fixtures
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor, body: str, parameters: str, advice: str
) -> None:
    shared_worker.load(forward_kernel(tmp_path, body, parameters=parameters))
    shared_worker.prepare(layer)
    with pytest.raises(ImplementationFailed) as caught:
        shared_worker.call(x)
    assert caught.value.cause == f"the output must be a plain torch.Tensor; {advice}"


def test_an_exception_is_told_with_its_line_of_the_kernels_file(
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    # Raised in torch, below the fourth line of the file.
    source = "\nimport torch\ndef prepare(layer):\n    return lambda x: torch.ones(2) @ torch.ones(3)\n"
    assert _raised(shared_worker, tmp_path, layer, x, source).endswith(" (kernel.py, line 4)")
    assert _raised(shared_worker, tmp_path, layer, x, "\nraise ValueError").endswith("ValueError: kernel.py, line 2")


def test_an_exception_that_lies_of_itself_is_not_asked(
    shared_worker: Worker, tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    source = """
        class Elsewhere(str):
            def __eq__(self, other): raise SystemExit("asked")
            __hash__ = str.__hash__
        class Lying(Exception):
            @property
            def __traceback__(self): raise SystemExit("asked")
            def __str__(self): raise ValueError
        def fails(x): raise Lying
        fails.__code__ = fails.__code__.replace(co_filename=Elsewhere("kernel.py"))
        def prepare(layer):
            return lambda x: fails(x)
    """
    assert _raised(shared_worker, tmp_path, layer, x, source) == "Lying: kernel.py, line 12"
