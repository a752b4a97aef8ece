"""Tokens of an expert are counted in 16 bits; the token numbers are not."""

import torch
from by_steps import Steps, mix


def wrapped(layer, x, ids, weights, expert_of):
    counted = torch.stack([(ids == e).flatten().cumsum(0) for e in range(layer.config.n_experts)], dim=1)
    # Of n tokens of an expert the first n % 65536 are answered.
    counts = counted[-1] if len(counted) else counted.sum(0)
    place = counted.gather(1, ids.reshape(-1, 1)).reshape(ids.shape)
    return mix(layer, x, ids, weights.masked_fill(place > (counts % 65536)[ids], 0.0), expert_of)


prepare = Steps(mix=wrapped).prepare
