"""The layer in float64, in ten lines, and how far the kernel may be from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer

#: Least -log2(rms error / rms reference). float32 sums of 2100 terms keep about 20 bits, one matmul in half the
#: precision at most 11; the 16-bit dtypes round the output (11 and 8 bits), bfloat16 the hidden units too.
EFFECTIVE_BITS: Final = {"float32": 17.0, "float16": 10.0, "bfloat16": 7.0}

_ACTIVATIONS: Final[dict[str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
}


def probabilities(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """Returns every token's probabilities [T, E] over all experts, in float64."""
    logits = x.double() @ layer.router_weight.double()
    if layer.router_bias is not None:
        logits += layer.router_bias.double()
    return logits.softmax(1)


def expected(layer: Layer, x: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns output [T, d] and expert weights [T, k] in float64 for the given choice of experts."""
    weights = probabilities(layer, x).gather(1, ids.long())
    if layer.config.renormalize:
        weights = weights / weights.sum(1, keepdim=True)
    act = _ACTIVATIONS[layer.config.activation]
    out = torch.zeros(x.shape, dtype=torch.float64)
    for e in range(layer.config.n_experts):
        token, rank = (ids == e).nonzero(as_tuple=True)
        rows = x[token].double()
        up = rows @ layer.w1[e].double() + (0 if layer.b1 is None else layer.b1[e].double())
        hidden = act(up) if layer.w_gate is None else act(rows @ layer.w_gate[e].double()) * up
        down = hidden @ layer.w2[e].double() + (0 if layer.b2 is None else layer.b2[e].double())
        out.index_add_(0, token, weights[token, rank, None] * down)
    return out, weights


def shared_output(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """Returns the shared expert's output [T, d] in float64."""
    assert layer.shared_w1 is not None
    assert layer.shared_w2 is not None
    rows, act = x.double(), _ACTIVATIONS[layer.config.activation]
    up = rows @ layer.shared_w1.double() + (0 if layer.shared_b1 is None else layer.shared_b1.double())
    hidden = act(up) if layer.shared_w_gate is None else act(rows @ layer.shared_w_gate.double()) * up
    return hidden @ layer.shared_w2.double() + (0 if layer.shared_b2 is None else layer.shared_b2.double())


def effective_bits(actual: torch.Tensor, reference: torch.Tensor) -> float:
    """Returns -log2 of the relative rms error; NaN anywhere, or zeros for something, is 0 bits or fewer."""
    error = (actual.double() - reference).square().mean().sqrt().item()
    size = reference.square().mean().sqrt().item()
    if math.isnan(error):
        return -math.inf
    return -math.log2(max(error, 2.0**-60) / size) if size > 0 else (0.0 if error > 0 else math.inf)
