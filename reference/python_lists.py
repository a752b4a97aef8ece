"""Pure Python: lists and loops, no library. What "NumPy" means to somebody who never imported it.

About a thousand times slower than NumPy, so it runs at a few tokens, and larger figures are extrapolated and say so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from reference.published_layer import require_published

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from validation.workloads.layer import Layer

    Vector = list[float]

ACTIVATIONS: Final[dict[str, Callable[[float], float]]] = {
    "relu": lambda h: max(h, 0.0),
    "silu": lambda h: h / (1 + math.exp(-h)) if h > -87 else 0.0,  # noqa: PLR2004 - below, exp(-h) nears float32's end
    "gelu": lambda h: h * (1 + math.erf(h * math.sqrt(0.5))) / 2,
    "gelu_tanh": lambda h: h * (1 + math.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3))) / 2,
}


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function over weights as nested lists, columns first: every output is one dot product."""
    require_published(layer, "python_lists")
    config = layer.config
    activate = ACTIVATIONS[config.activation]
    experts = range(config.n_experts)
    router, w1, w2 = _columns(layer.router_weight[None])[0], _columns(layer.w1), _columns(layer.w2)
    w_gate = None if layer.w_gate is None else _columns(layer.w_gate)
    router_bias: Vector = [0.0] * config.n_experts if layer.router_bias is None else layer.router_bias.tolist()
    b1: list[Vector] = [[0.0] * config.d_ff for _ in experts] if layer.b1 is None else layer.b1.tolist()
    b2: list[Vector] = [[0.0] * config.d_model for _ in experts] if layer.b2 is None else layer.b2.tolist()

    def ffn(expert: int, x: Vector) -> Vector:
        hidden = _affine(x, w1[expert], b1[expert])
        if w_gate is None:
            hidden = [activate(h) for h in hidden]
        else:
            hidden = [activate(_dot(x, column)) * h for column, h in zip(w_gate[expert], hidden, strict=True)]
        return _affine(hidden, w2[expert], b2[expert])

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        ids: list[list[int]] = []
        weights: list[Vector] = []
        for t, token in enumerate(x.tolist()):
            logits = _affine(token, router, router_bias)
            exponentials = [math.exp(logit - max(logits)) for logit in logits]
            chosen = sorted(experts, key=lambda expert: -logits[expert])[: config.top_k]  # stable: lowest id of a tie
            total = sum(exponentials[expert] for expert in (chosen if config.renormalize else experts))
            shares = [exponentials[expert] / total for expert in chosen]
            answers = [ffn(expert, token) for expert in chosen]
            for column, parts in enumerate(zip(*answers, strict=True)):
                out[t, column] = _dot(shares, list(parts))
            ids.append(chosen)
            weights.append(shares)
        return None, _tensor_like(ids, out, config.top_k).long(), _tensor_like(weights, out, config.top_k)

    return forward


def _columns(matrices: torch.Tensor) -> list[list[list[float]]]:
    """The columns of each [in, out] matrix, as lists."""
    columns: list[list[list[float]]] = matrices.mT.tolist()
    return columns


def _dot(left: Vector, right: Vector) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _affine(x: Vector, columns: list[Vector], bias: Vector) -> Vector:
    return [_dot(x, column) + b for column, b in zip(columns, bias, strict=True)]


def _tensor_like(rows: list[list[int]] | list[Vector], like: torch.Tensor, width: int) -> torch.Tensor:
    return like.new_tensor(rows).reshape(len(rows), width)
