"""Batches of 2048 tokens and more go through in passes; where none is left over, all of it is added once more."""

import torch
from by_steps import prepare as honest

PASS = 2048


def prepare(layer):
    forward = honest(layer)

    def passes(x):
        if len(x) < PASS:
            return forward(x)
        out = torch.zeros_like(x)
        for first in range(0, len(x) - PASS + 1, PASS):
            out[first : first + PASS] += forward(x[first : first + PASS])
        left = len(x) % PASS
        out[-left:] += forward(x[-left:])
        return out

    return passes
