"""PyTorch's grouped_mm: one call multiplies all experts' rows, sorted by expert, with their matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from reference.torch_activation import ACTIVATIONS
from reference.torch_dispatch import combine, dispatch
from reference.torch_expert import prepare_shared
from reference.torch_routing import prepare_router

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function.

    Raises:
        NotImplementedError: a row of a weight is no multiple of 16 bytes, which grouped_mm cannot take.
    """
    config, route, add_shared = layer.config, prepare_router(layer), prepare_shared(layer)
    activate = ACTIVATIONS[config.activation]
    for name, width in (("d_model", config.d_model), ("d_ff", config.d_ff)):
        if width * layer.w1.element_size() % 16:
            raise NotImplementedError(
                f"grouped_mm takes rows of whole 16 bytes; {name} = {width} in {config.dtype} is not"
            )

    w1, w2 = _innermost_k(layer.w1), _innermost_k(layer.w2)
    w_gate = None if layer.w_gate is None else _innermost_k(layer.w_gate)

    @torch.inference_mode()
    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        ids, weights = route(x)
        order, counts = dispatch(ids, config.n_experts)
        ends = counts.cumsum(0, dtype=torch.int32)
        rows = x[order // config.top_k]

        def multiply(rows: torch.Tensor, matrices: torch.Tensor, biases: torch.Tensor | None) -> torch.Tensor:
            product = functional.grouped_mm(rows, matrices, offs=ends)
            return product if biases is None else product.add_(biases[ids.flatten()[order]])

        hidden = multiply(rows, w1, layer.b1)
        if w_gate is None:
            hidden = activate(hidden)
        else:
            hidden *= activate(multiply(rows, w_gate, None))
        combine(multiply(hidden, w2, layer.b2), order, weights, out)
        add_shared(x, out)
        return None, ids, weights

    return forward


def _innermost_k(matrices: torch.Tensor) -> torch.Tensor:
    """On a GPU the same matrices with the summed dimension innermost: its tensor cores' fastest layout."""
    if matrices.device.type == "cpu":
        return matrices
    return matrices.transpose(1, 2).contiguous().transpose(1, 2)
