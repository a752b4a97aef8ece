"""The layer as a kernel author gets it: its config and its weights as torch tensors on the device.

This file imports nothing of ours: the isolated worker loads it by path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

#: gelu is the erf form, gelu_tanh its tanh approximation.
ACTIVATIONS: Final = ("relu", "gelu", "gelu_tanh", "silu")

#: How logits become a choice of experts and their weights; see `LayerConfig`.
ROUTERS: Final = ("softmax", "topk_softmax", "sigmoid")

#: Bytes of one element of each dtype a layer can have.
DTYPE_BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerConfig:
    """Shape and arithmetic of one Mixture-of-Experts layer.

    `gated` is the three-matrix form `(act(x W_gate) * (x W1)) W2`. `bias` gives the experts b1 and b2, `router_bias`
    the router its own.

    `router` names how logits become weights. softmax: over all experts, then the best k, whose weights sum to 1 where
    `renormalize`. topk_softmax: the best k logits, then softmax over those alone. sigmoid: every expert's score is the
    sigmoid of its logit; the best k by score plus `correction_bias`, weighted by their scores alone, which sum to 1
    where `renormalize` (DeepSeek-V3, arXiv 2412.19437, section 2.1.2). A sigmoid router may choose within its
    `top_groups` best of `n_groups` groups of neighbouring experts, a group being worth its two best.
    Weights are multiplied by `routed_scaling` at last.

    `shared_d_ff` hidden units belong to a shared expert that every token passes with weight 1; several shared experts
    are one, as wide as all of them. `float32_router` keeps the router's weight and bias in float32, whatever the dtype.
    `balance_loss` asks for the load-balancing loss too.

    Raises:
        ValueError: a dimension below 1, top_k beyond what may be chosen from, an unknown name, options that exclude
            each other.
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
    router: str = "softmax"
    correction_bias: bool = False
    n_groups: int = 1
    top_groups: int = 1
    routed_scaling: float = 1.0
    shared_d_ff: int = 0
    float32_router: bool = False
    balance_loss: bool = False

    def __post_init__(self) -> None:
        """Refuses what no layer can be."""
        for name in ("d_model", "d_ff", "n_experts", "top_k", "n_groups", "top_groups"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.shared_d_ff < 0:
            raise ValueError(f"shared_d_ff must be 0 (no shared expert) or more; got {self.shared_d_ff}")
        if self.top_k > self.n_experts:
            raise ValueError(f"top_k must not exceed n_experts = {self.n_experts}; got {self.top_k}")
        for name, known in (("activation", ACTIVATIONS), ("dtype", tuple(DTYPE_BYTES)), ("router", ROUTERS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}")
        if not (math.isfinite(self.routed_scaling) and self.routed_scaling > 0):
            raise ValueError(f"routed_scaling must be finite and above 0; got {self.routed_scaling}")
        self._check_router()

    def _check_router(self) -> None:
        if self.router == "topk_softmax" and not self.renormalize:
            raise ValueError("renormalize must be true for the topk_softmax router, whose weights sum to 1; got false")
        if self.router != "sigmoid" and (self.correction_bias or self.n_groups > 1):
            option = "correction_bias" if self.correction_bias else "n_groups"
            raise ValueError(f"{option} needs the sigmoid router; got router {self.router!r}")
        if self.n_experts % self.n_groups:
            raise ValueError(f"n_groups must divide n_experts = {self.n_experts}; got {self.n_groups}")
        if self.top_groups > self.n_groups:
            raise ValueError(f"top_groups must not exceed n_groups = {self.n_groups}; got {self.top_groups}")
        open_experts = self.n_experts // self.n_groups * self.top_groups
        if self.top_k > open_experts:
            raise ValueError(f"top_k must not exceed the {open_experts} experts of top_groups groups; got {self.top_k}")

    @property
    def element_bytes(self) -> int:
        """Bytes of one element of an expert's weight, an input or an output."""
        return DTYPE_BYTES[self.dtype]

    @property
    def published(self) -> bool:
        """Whether the published layer has all this one asks for: a softmax router, no scaling, no shared expert."""
        return self.router != "sigmoid" and self.routed_scaling == 1 and self.shared_d_ff == 0

    @property
    def router_dtype(self) -> str:
        """The dtype of the router's weight and bias."""
        return "float32" if self.float32_router else self.dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Config and weights: router_weight [d, E], w1 and w_gate [E, d, f], w2 [E, f, d], biases [E], [E, f], [E, d].

    correction_bias [E] is float32 whatever the dtype, as models store it. Of the shared expert of F hidden units:
    shared_w1 and shared_w_gate [d, F], shared_w2 [F, d], shared_b1 [F], shared_b2 [d].
    """

    config: LayerConfig
    router_weight: torch.Tensor
    w1: torch.Tensor
    w2: torch.Tensor
    router_bias: torch.Tensor | None = None
    b1: torch.Tensor | None = None
    b2: torch.Tensor | None = None
    w_gate: torch.Tensor | None = None
    correction_bias: torch.Tensor | None = None
    shared_w1: torch.Tensor | None = None
    shared_w2: torch.Tensor | None = None
    shared_b1: torch.Tensor | None = None
    shared_b2: torch.Tensor | None = None
    shared_w_gate: torch.Tensor | None = None
