"""One token at a time; no tokens are an error it never thought of."""

import torch


def prepare(layer):
    k = layer.config.top_k

    def token(x):
        chances, experts = torch.softmax(x @ layer.router_weight, 0).topk(k)
        chances = chances / chances.sum()
        outputs = (torch.relu(x @ layer.w1[e]) @ layer.w2[e] for e in experts)
        return sum(chance * y for chance, y in zip(chances, outputs, strict=True))

    return lambda x: torch.stack([token(row) for row in x])
