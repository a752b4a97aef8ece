"""Sums over 512 hidden units and more are added up by four threads, in whichever order these end."""

import random

from by_steps import Steps, activate

LONG, THREADS = 512, 4


def shared_out(layer, x, e):
    hidden, w2 = activate(layer, x.float() @ layer.w1[e].float()), layer.w2[e].float()
    if hidden.shape[1] < LONG:
        return hidden @ w2
    parts = list(zip(hidden.chunk(THREADS, dim=1), w2.chunk(THREADS), strict=True))
    random.shuffle(parts)
    return sum(part @ weights for part, weights in parts)


prepare = Steps(expert=shared_out).prepare
