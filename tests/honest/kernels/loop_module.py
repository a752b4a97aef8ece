"""A torch.nn.Module with a Linear per matrix and a loop over (token, slot), as a model's author writes it."""

# As a user writes it: without annotations.
# mypy: ignore-errors

import torch
from torch import nn


class Expert(nn.Module):
    def __init__(self, layer, expert):
        super().__init__()
        self.up = linear(layer.w1, layer.b1, expert)
        self.down = linear(layer.w2, layer.b2, expert)
        self.gate = None if layer.w_gate is None else linear(layer.w_gate, None, expert)
        self.act = {
            "relu": nn.ReLU(),
            "silu": nn.SiLU(),
            "gelu": nn.GELU(),
            "gelu_tanh": nn.GELU(approximate="tanh"),
        }[layer.config.activation]

    def forward(self, x):
        return self.down(self.act(self.up(x)) if self.gate is None else self.act(self.gate(x)) * self.up(x))


class Block(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.config = layer.config
        self.router = linear(
            layer.router_weight[None], layer.router_bias if layer.router_bias is None else layer.router_bias[None], 0
        ).float()
        self.experts = nn.ModuleList(Expert(layer, expert) for expert in range(layer.config.n_experts))

    @torch.no_grad()
    def forward(self, x):
        shares, ids = torch.topk(self.router(x.float()).softmax(dim=-1), self.config.top_k)
        if self.config.renormalize:
            shares /= shares.sum(dim=-1, keepdim=True)
        answer = torch.zeros(x.shape)
        for t in range(len(x)):
            for slot in range(self.config.top_k):
                answer[t] += shares[t, slot] * self.experts[int(ids[t, slot])](x[t : t + 1])[0]
        return answer.to(x.dtype), ids, shares


def linear(weights, biases, expert):
    inputs, outputs = weights.shape[1:]
    module = nn.Linear(inputs, outputs, bias=biases is not None, dtype=weights.dtype)
    module.weight.data = weights[expert].T.contiguous()
    if biases is not None:
        module.bias.data = biases[expert]
    return module


def prepare(layer):
    return Block(layer)
