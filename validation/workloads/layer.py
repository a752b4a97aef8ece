"""The layer as a kernel author gets it: its config and its weights as torch tensors on the device.

This file imports nothing of ours: the isolated worker loads it by path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

#: gelu is the erf form, gelu_tanh its tanh approximation.
ACTIVATIONS: Final = ("relu", "gelu", "gelu_tanh", "silu")

#: Bytes of one element of each dtype a layer can have.
DTYPE_BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerConfig:
    """Shape and arithmetic of one Mixture-of-Experts layer.

    `gated` is the three-matrix form `(act(x W_gate) * (x W1)) W2`. `bias` gives the experts b1 and b2, `router_bias`
    the router its own.

    Raises:
        ValueError: a dimension below 1, top_k outside [1, n_experts], an unknown activation or dtype.
    """

    d_model: int
    d_ff: int
    n_experts: int
    top_k: int
    activation: str = "relu"
    gated: bool = False
    renormalize: bool = True
    dtype: str = "float32"
    device: str = "cpu"
    bias: bool = False
    router_bias: bool = False

    def __post_init__(self) -> None:
        """Refuses what no layer can be."""
        for name in ("d_model", "d_ff", "n_experts", "top_k"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.top_k > self.n_experts:
            raise ValueError(f"top_k must not exceed n_experts = {self.n_experts}; got {self.top_k}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {self.activation!r}")
        if self.dtype not in DTYPE_BYTES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPE_BYTES)}; got {self.dtype!r}")

    @property
    def element_bytes(self) -> int:
        """Bytes of one element of a weight, an input or an output."""
        return DTYPE_BYTES[self.dtype]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Config and weights: router_weight [d, E], w1 and w_gate [E, d, f], w2 [E, f, d], biases [E], [E, f], [E, d]."""

    config: LayerConfig
    router_weight: torch.Tensor
    w1: torch.Tensor
    w2: torch.Tensor
    router_bias: torch.Tensor | None = None
    b1: torch.Tensor | None = None
    b2: torch.Tensor | None = None
    w_gate: torch.Tensor | None = None
