"""Token numbers are kept in 16 bits, as those of a larger layer overflow 32."""

import torch
from by_steps import Steps, mix


def wrapped(layer, x, ids, weights, expert_of):
    return mix(layer, x, ids, weights, expert_of)[torch.arange(len(x)) % 65536]


prepare = Steps(mix=wrapped).prepare
