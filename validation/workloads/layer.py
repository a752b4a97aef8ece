"""The layer as a kernel author gets it: its config and its weights as torch tensors on the device.

This file imports nothing of ours: the isolated worker loads it by path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerConfig:
    """Shape and arithmetic of one Mixture-of-Experts layer."""

    d_model: int
    d_ff: int
    n_experts: int
    top_k: int
    activation: str = "relu"
    gated: bool = False
    renormalize: bool = True
    dtype: str = "float32"
    device: str = "cpu"


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
