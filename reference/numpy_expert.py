"""One expert's FFN in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.numpy_activation import ACTIVATIONS
from reference.shared_expert import shared_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from validation.workloads.layer import Layer

    Floats = npt.NDArray[np.floating]


def prepare_expert(layer: Layer) -> Callable[[int, Floats], Floats]:
    """Returns ffn(expert, x [..., d]) -> [..., d] over NumPy views of the weights: nothing is copied."""
    activate = ACTIVATIONS[layer.config.activation]
    w1, w2 = layer.w1.numpy(), layer.w2.numpy()
    b1, b2, w_gate = (None if tensor is None else tensor.numpy() for tensor in (layer.b1, layer.b2, layer.w_gate))

    def ffn(expert: int, x: Floats) -> Floats:
        hidden: Floats = x @ w1[expert]
        if b1 is not None:
            hidden += b1[expert]
        if w_gate is None:
            activate(hidden)
        else:
            opening = x @ w_gate[expert]
            activate(opening)
            hidden *= opening
        answer: Floats = hidden @ w2[expert]
        if b2 is not None:
            answer += b2[expert]
        return answer

    return ffn


def prepare_shared(layer: Layer) -> Callable[[Floats, Floats], None]:
    """Returns add(x [T, d], out [T, d]), which adds the shared expert's answer to `out`, or nothing without one."""
    if layer.shared_w1 is None:
        return lambda _x, _out: None
    ffn = prepare_expert(shared_alone(layer))

    def add(x: Floats, out: Floats) -> None:
        out += ffn(0, x)

    return add
