"""A workspace of 16 MiB; what does not fit goes into a second pass, which begins one token too late."""

import torch
from by_steps import prepare as honest

ROOM = 1 << 22


def prepare(layer):
    forward, config = honest(layer), layer.config
    most = ROOM // (config.top_k * max(config.d_model, config.d_ff))

    def passes(x):
        if len(x) <= most:
            return forward(x)
        return torch.cat([forward(x[:most]), torch.zeros_like(x[:1]), forward(x[most + 1 :])])

    return passes
