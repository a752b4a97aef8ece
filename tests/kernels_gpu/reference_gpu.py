"""The layer on the GPU in float32 with the matmuls in float64 blocks, for checks on a machine that has a GPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

ACTIVATE = {
    "relu": torch.relu,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda z: torch.nn.functional.gelu(z, approximate="tanh"),
}


def make_layer(  # noqa: PLR0913 - a layer has that many settings
    *, d: int, f: int, experts: int, k: int, dtype: torch.dtype, activation: str = "relu", gated: bool = False,
    biases: bool = False, renormalize: bool = True, seed: int = 0,
) -> SimpleNamespace:  # fmt: skip
    """A layer with weights of unit gain, on the current GPU."""
    g = torch.Generator(device="cuda").manual_seed(seed)

    def draw(*shape: int, scale: float) -> torch.Tensor:
        out = torch.empty(shape, dtype=dtype, device="cuda")
        for part in out if len(shape) == 3 else (out,):
            part.copy_(torch.randn(part.shape, generator=g, device="cuda") * scale)
        return out

    config = SimpleNamespace(
        d_model=d, d_ff=f, n_experts=experts, top_k=k, activation=activation, gated=gated, renormalize=renormalize,
        router="softmax", routed_scaling=1.0, shared_d_ff=0,
    )  # fmt: skip
    return SimpleNamespace(
        config=config,
        router_weight=draw(d, experts, scale=d**-0.5),
        w1=draw(experts, d, f, scale=d**-0.5),
        w2=draw(experts, f, d, scale=f**-0.5),
        w_gate=draw(experts, d, f, scale=d**-0.5) if gated else None,
        router_bias=draw(experts, scale=0.5) if biases else None,
        b1=draw(experts, f, scale=0.5) if biases else None,
        b2=draw(experts, d, scale=0.5) if biases else None,
    )


def make_tokens(t: int, d: int, dtype: torch.dtype, seed: int = 1) -> torch.Tensor:
    """Normal activations [t, d]."""
    g = torch.Generator(device="cuda").manual_seed(seed)
    return torch.randn((t, d), generator=g, device="cuda").to(dtype)


def logits_of(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Router logits in float64."""
    logits = x.double() @ layer.router_weight.double()
    return logits if layer.router_bias is None else logits + layer.router_bias.double()  # type: ignore[no-any-return]


def answer(layer: Any, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The layer's output [T, d] in float64, forced onto the given experts."""
    c = layer.config
    logits = logits_of(layer, x)
    chosen = logits.gather(1, ids.long())
    weights = chosen.softmax(-1) if c.renormalize else logits.softmax(-1).gather(1, ids.long())
    out = torch.zeros(x.shape, dtype=torch.float64, device=x.device)
    for e in range(c.n_experts):
        token, slot = torch.nonzero(ids == e, as_tuple=True)
        if len(token) == 0:
            continue
        rows = x[token].double()
        up = rows @ layer.w1[e].double()
        if layer.b1 is not None:
            up = up + layer.b1[e].double()
        hidden = ACTIVATE[c.activation](up)  # type: ignore[no-untyped-call]
        if layer.w_gate is not None:
            hidden = ACTIVATE[c.activation](rows @ layer.w_gate[e].double()) * up  # type: ignore[no-untyped-call]
        y = hidden @ layer.w2[e].double()
        if layer.b2 is not None:
            y = y + layer.b2[e].double()
        out[token] += weights[token, slot, None] * y
    return out


def routing_faults(layer: Any, x: torch.Tensor, ids: torch.Tensor, slack: float) -> int:
    """Tokens whose chosen experts are not the k largest logits, beyond a slack, or not all different."""
    logits = logits_of(layer, x)
    k = layer.config.top_k
    kth = logits.topk(k, dim=-1).values[:, -1]
    worst = logits.gather(1, ids.long()).min(dim=-1).values
    ordered = ids.sort(dim=-1).values
    repeated = (ordered[:, 1:] == ordered[:, :-1]).any(dim=-1) if k > 1 else torch.zeros_like(kth, dtype=torch.bool)
    return int(((worst < kth - slack) | repeated).sum())
