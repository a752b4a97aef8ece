"""The worst group of experts is closed, however many must be."""

import torch
from by_steps import Steps, choose, offering


def sigmoids(_layer, logits, ids):
    scores = torch.sigmoid(logits).gather(1, ids)
    return scores / scores.sum(dim=1, keepdim=True)


def prepare(layer):
    groups = layer.config.n_groups

    def but_the_worst(logits, k):
        if groups == 1:
            return choose(logits, k)
        parts = torch.sigmoid(logits).reshape(len(logits), groups, -1)
        worth = parts.topk(min(2, parts.shape[2]), dim=2).values.sum(dim=2)
        closed = torch.zeros_like(worth, dtype=torch.bool).scatter(1, worth.argmin(1, keepdim=True), value=True)
        return choose(logits.masked_fill(closed.repeat_interleave(parts.shape[2], dim=1), -torch.inf), k)

    return Steps(choose=but_the_worst, weigh=sigmoids).prepare(layer)


prepare = offering(prepare, "sigmoid", "groups")
