"""One expert's FFN in PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from reference.shared_expert import shared_alone
from reference.torch_activation import ACTIVATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer


def prepare_expert(layer: Layer) -> Callable[[int, torch.Tensor], torch.Tensor]:
    """Returns ffn(expert, x [n, d]) -> [n, d] over the layer's own weights: nothing is copied."""
    activate = ACTIVATIONS[layer.config.activation]
    w1, w2 = layer.w1.unbind(), layer.w2.unbind()
    b1, b2, w_gate = (None if tensor is None else tensor.unbind() for tensor in (layer.b1, layer.b2, layer.w_gate))

    def ffn(expert: int, x: torch.Tensor) -> torch.Tensor:
        hidden = x @ w1[expert] if b1 is None else torch.addmm(b1[expert], x, w1[expert])
        hidden = activate(hidden) if w_gate is None else activate(x @ w_gate[expert]) * hidden
        return hidden @ w2[expert] if b2 is None else torch.addmm(b2[expert], hidden, w2[expert])

    return ffn


def prepare_shared(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Returns add(x [T, d], out [T, d]), which adds the shared expert's answer to `out`, or nothing without one."""
    if layer.shared_w1 is None:
        return lambda _x, _out: None
    ffn = prepare_expert(shared_alone(layer))

    def add(x: torch.Tensor, out: torch.Tensor) -> None:
        out.add_(ffn(0, x))

    return add
