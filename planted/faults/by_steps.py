"""An honest kernel in exchangeable steps. A planted fault is this kernel with one step broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

Tensor = torch.Tensor


def logits_of(layer: Any, x: Tensor) -> Tensor:
    logits = x.float() @ layer.router_weight.float()
    return logits if layer.router_bias is None else logits + layer.router_bias.float()


def choose(logits: Tensor, k: int) -> Tensor:
    """The k largest, ties to the lowest id."""
    return torch.sort(logits, dim=1, descending=True, stable=True).indices[:, :k]


def weigh(layer: Any, logits: Tensor, ids: Tensor) -> Tensor:
    weights = torch.softmax(logits, dim=1).gather(1, ids)
    return weights / weights.sum(dim=1, keepdim=True) if layer.config.renormalize else weights


def activate(layer: Any, z: Tensor) -> Tensor:
    name = layer.config.activation
    if name in {"gelu", "gelu_tanh"}:
        return functional.gelu(z, approximate="none" if name == "gelu" else "tanh")
    return functional.silu(z) if name == "silu" else torch.relu(z)


def expert(layer: Any, x: Tensor, e: int) -> Tensor:
    """float32 throughout, whatever the layer's dtype."""
    up = x.float() @ layer.w1[e].float()
    if layer.b1 is not None:
        up = up + layer.b1[e].float()
    hidden = activate(layer, x.float() @ layer.w_gate[e].float()) * up if layer.config.gated else activate(layer, up)
    down = hidden @ layer.w2[e].float()
    return down if layer.b2 is None else down + layer.b2[e].float()


def mix(layer: Any, x: Tensor, ids: Tensor, weights: Tensor, expert_of: Callable[..., Tensor]) -> Tensor:
    out = torch.zeros(x.shape, dtype=torch.float32)
    for e in range(layer.config.n_experts):
        rows, slots = torch.nonzero(ids == e, as_tuple=True)
        if len(rows):
            out[rows] += weights[rows, slots, None] * expert_of(layer, x[rows], e)
    return out


class Steps(NamedTuple):
    """`tells` returns the routing beside the output; `finish` is the last look at the output."""

    logits_of: Callable[..., Tensor] = logits_of
    choose: Callable[..., Tensor] = choose
    weigh: Callable[..., Tensor] = weigh
    expert: Callable[..., Tensor] = expert
    mix: Callable[..., Tensor] = mix
    finish: Callable[[Tensor], Tensor] = lambda out: out
    tells: bool = False

    def prepare(self, layer: Any) -> Callable[..., Any]:
        def forward(x: Tensor) -> Any:
            logits = self.logits_of(layer, x)
            ids = self.choose(logits, layer.config.top_k)
            weights = self.weigh(layer, logits, ids)
            out = self.finish(self.mix(layer, x, ids, weights, self.expert)).to(x.dtype)
            return (out, ids, weights) if self.tells else out

        return forward


prepare = Steps().prepare


def offering(prepare: Callable[..., Any], *offers: str) -> Callable[..., Any]:
    """The kernel, which says that it offers these options and so is held to them."""

    def declared(layer: Any) -> Any:
        return prepare(layer)

    declared.offers = offers
    return declared
