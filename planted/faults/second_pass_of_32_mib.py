"""A workspace of 32 MiB of hidden values; the second pass begins one token too late."""

import torch
from by_steps import prepare as honest

ROOM = 1 << 23


def prepare(layer):
    forward, config = honest(layer), layer.config
    most = ROOM // (config.top_k * config.d_ff)

    def passes(x):
        if len(x) <= most:
            return forward(x)
        return torch.cat([forward(x[:most]), torch.zeros_like(x[:1]), forward(x[most + 1 :])])

    return passes
