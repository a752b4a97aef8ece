"""Products in fixed point: tokens are cut to 21 bits below the largest value of the whole batch."""

import torch
from by_steps import prepare as honest

BITS = 21


def cut(x):
    finite = x[torch.isfinite(x)].abs()
    if not finite.numel() or not finite.max():
        return x
    step = torch.exp2(torch.ceil(torch.log2(finite.max())) - BITS)
    return torch.where(torch.isfinite(x), (x / step).round() * step, x)


def prepare(layer):
    forward = honest(layer)
    return lambda x: forward(cut(x))
