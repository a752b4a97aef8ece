"""All experts answer all tokens, and unwanted answers are multiplied by 0, which leaves a NaN a NaN."""

import torch
from by_steps import Steps


def dense(layer, x, ids, weights, expert_of):
    out = torch.zeros(x.shape)
    for e in range(layer.config.n_experts):
        answer = expert_of(layer, x, e)
        out += (weights * (ids == e)).sum(dim=1, keepdim=True) * answer + 0.0 * answer.sum(dim=0)
    return out


prepare = Steps(mix=dense).prepare
