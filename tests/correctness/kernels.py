"""Float32 sums in different orders, and small layers to try bounds on."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import Layer, LayerConfig

Matrix = NDArray[np.float32]
Product = Callable[[Matrix, Matrix], Matrix]


def sequential(a: Matrix, b: Matrix) -> Matrix:
    """Every product rounded, every sum rounded, first to last: no order of summation has a larger error bound."""
    total = np.zeros((a.shape[0], b.shape[1]), dtype=np.float32)
    for i in range(a.shape[1]):
        total += a[:, i, None] * b[i]
    return total


def backwards(a: Matrix, b: Matrix) -> Matrix:
    return sequential(a[:, ::-1], b[::-1])


def blocked(a: Matrix, b: Matrix) -> Matrix:
    total = np.zeros((a.shape[0], b.shape[1]), dtype=np.float32)
    for start in range(0, a.shape[1], 7):
        total += sequential(a[:, start : start + 7], b[start : start + 7])
    return total


def pairwise(a: Matrix, b: Matrix) -> Matrix:
    if a.shape[1] <= 2:
        return sequential(a, b)
    half = a.shape[1] // 2
    total: Matrix = pairwise(a[:, :half], b[:half]) + pairwise(a[:, half:], b[half:])
    return total


ORDERS: dict[str, Product] = {
    "sequential": sequential,
    "backwards": backwards,
    "blocked": blocked,
    "pairwise": pairwise,
}


def small_layer(tokens: int = 24, **options: object) -> tuple[Layer, torch.Tensor]:
    fields = {"d_model": 96, "d_ff": 160, "n_experts": 4, "top_k": 2, **options}
    config = LayerConfig(**fields)  # type: ignore[arg-type]
    return make_layer(config, 1), draw_tokens(config, tokens, 1)


def forward(layer: Layer, x: torch.Tensor, product: Product = sequential) -> torch.Tensor:
    """The plain ReLU layer in float32 with sums in the given order; the output is rounded to the layer's dtype."""
    tokens = x.float().numpy()
    logits = product(tokens, layer.router_weight.float().numpy())
    ids = np.argsort(-logits, axis=1, kind="stable")[:, : layer.config.top_k]
    chosen = np.take_along_axis(logits, ids, axis=1)
    weights = np.exp(chosen - chosen.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    out = np.zeros_like(tokens)
    for e in range(layer.config.n_experts):
        rows, slots = np.nonzero(ids == e)
        hidden = np.maximum(product(tokens[rows], layer.w1[e].float().numpy()), np.float32(0))
        out[rows] += weights[rows, slots, None] * product(hidden, layer.w2[e].float().numpy())
    return torch.from_numpy(out).to(x.dtype)
