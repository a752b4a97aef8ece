"""An honest kernel that deals with every option; `make` leaves some of it out."""

import torch
from torch.nn import functional

ACTIVATIONS = {
    "relu": torch.relu,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
}


def make(*, activations=ACTIVATIONS, forget=()):
    def prepare(layer):
        config = layer.config
        activate = activations[config.activation]
        gated, renormalize, k = config.gated, config.renormalize, config.top_k
        b1, b2, router_bias = layer.b1, layer.b2, layer.router_bias

        def expert(x, e):
            x = x.float() * (1.02 if "bfloat16" in forget and x.dtype is torch.bfloat16 else 1.0)
            up = x @ layer.w1[e].float()
            if b1 is not None:
                up = up + b1[e].float()
            hidden = activate(x @ layer.w_gate[e].float()) * up if gated else activate(up)
            down = hidden @ layer.w2[e].float()
            return down if b2 is None or "b2" in forget else down + b2[e].float()

        def forward(x):
            logits = x.float() @ layer.router_weight.float()
            if router_bias is not None and "router_bias" not in forget:
                logits = logits + router_bias.float()
            weights, ids = torch.softmax(logits, -1).topk(k)
            if renormalize or "renormalize" in forget:
                weights = weights / weights.sum(-1, keepdim=True)
            out = torch.zeros(x.shape)
            for e in range(config.n_experts):
                token, slot = (ids == e).nonzero(as_tuple=True)
                out.index_add_(0, token, weights[token, slot, None] * expert(x[token], e))
            return out.to(x.dtype)

        return forward

    return prepare


prepare = make()
