"""The kernel file loaded by path, bound to one built library and one number of threads."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from unittest import mock

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from validation.workloads.layer import Layer

KERNEL_FILE = Path(__file__).parents[2] / "validation" / "implementations" / "mojo_kernel.py"


class Prepare(Protocol):
    """`prepare` of the kernel file, with the number of threads it reads from the environment."""

    def __call__(
        self, layer: Layer, *, threads: int = 2
    ) -> Callable[[torch.Tensor, torch.Tensor], tuple[None, torch.Tensor, torch.Tensor]]: ...


def load_module(name: str = "mojo_kernel_under_test") -> ModuleType:
    """Returns a fresh copy of the kernel file's module."""
    spec = importlib.util.spec_from_file_location(name, KERNEL_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_prepare(library: Path) -> Prepare:
    """Returns a `prepare` whose layers run on `library`."""
    module = load_module(f"mojo_kernel_of_{library.parent.name}")

    def prepare(
        layer: Layer, *, threads: int = 2
    ) -> Callable[[torch.Tensor, torch.Tensor], tuple[None, torch.Tensor, torch.Tensor]]:
        variables = {"MOE_KERNEL_LIBRARY": str(library), "MOE_KERNEL_THREADS": str(threads)}
        with mock.patch.dict("os.environ", variables):
            return cast(
                "Callable[[torch.Tensor, torch.Tensor], tuple[None, torch.Tensor, torch.Tensor]]",
                module.prepare(layer),
            )

    return prepare


def run(
    forward: Callable[[torch.Tensor, torch.Tensor], tuple[None, torch.Tensor, torch.Tensor]], x: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns output, ids and weights; the output was NaN everywhere before, and lay between guard rows."""
    guarded = torch.full((x.shape[0] + 2, x.shape[1]), math.nan, dtype=x.dtype)
    guarded[0], guarded[-1] = 7, 7
    out = guarded[1:-1]
    before = x.clone()
    _, ids, weights = forward(x, out)
    assert bool((guarded[0] == 7).all())
    assert bool((guarded[-1] == 7).all())
    assert torch.equal(x.nan_to_num(nan=12345.0), before.nan_to_num(nan=12345.0))
    return out, ids, weights
