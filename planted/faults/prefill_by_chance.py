"""Of an expert's 128 rows and more, four threads sum the hidden units in whichever order they end."""

import random

import torch
from by_steps import Steps, activate, expert

ROWS, THREADS = 128, 4


def shared_out(layer, x, e):
    if len(x) < ROWS:
        return expert(layer, x, e)
    hidden = activate(layer, x.float() @ layer.w1[e].float())
    parts = list(zip(hidden.chunk(THREADS, 1), layer.w2[e].float().chunk(THREADS), strict=True))
    random.shuffle(parts)
    out = torch.zeros(x.shape)
    for part, weights in parts:
        out.addmm_(part, weights)
    return out


prepare = Steps(expert=shared_out).prepare
