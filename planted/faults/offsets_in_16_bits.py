"""Of 64 experts and more, where each one's rows begin is kept in 16 bits with a sign: of 32,768 choices too few."""

import torch
from by_steps import Steps, mix

MANY = 64


def by_offsets(layer, x, ids, weights, expert_of):
    if layer.config.n_experts < MANY:
        return mix(layer, x, ids, weights, expert_of)
    order = torch.argsort(ids.flatten(), stable=True)
    ends = torch.bincount(ids.flatten(), minlength=layer.config.n_experts).cumsum(0).to(torch.int16).tolist()
    out = torch.zeros(x.shape, dtype=torch.float32)
    for e, (first, last) in enumerate(zip([0, *ends], ends, strict=False)):
        pairs = order[first:last]
        rows = pairs // layer.config.top_k
        if len(rows):
            out[rows] += weights.flatten()[pairs, None] * expert_of(layer, x[rows], e)
    return out


prepare = Steps(mix=by_offsets).prepare
