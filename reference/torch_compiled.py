"""The strongest PyTorch forms through torch.compile: the same code, its small steps fused by Inductor."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from reference import torch_dense, torch_grouped_mm, torch_per_expert

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer

    Forward = Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]


def prepare_grouped_mm(layer: Layer) -> Forward:
    """Returns the compiled forward of torch_grouped_mm; its first call compiles."""
    return _compiled(torch_grouped_mm.prepare(layer))


def prepare_dense(layer: Layer) -> Forward:
    """Returns the compiled forward of torch_dense; its first call compiles."""
    return _compiled(torch_dense.prepare(layer))


def prepare_per_expert(layer: Layer) -> Forward:
    """Returns the compiled forward of torch_per_expert, whose graph ends at each choice of rows."""
    return _compiled(torch_per_expert.prepare(layer), dynamic=None)


def _compiled(forward: Forward, *, dynamic: bool | None = False) -> Forward:
    # Compiled is what inference_mode wraps: a guard of its own around compiled code costs nothing.
    body: Any = inspect.unwrap(forward)
    fused: Any = torch.compile(body, dynamic=dynamic)

    @torch.inference_mode()
    def compiled(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        answer: tuple[object, ...] = fused(x, out)
        return answer

    return compiled
