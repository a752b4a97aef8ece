"""What a lone token's hidden units add up to is summed by four threads, in whichever order these end."""

import random

from by_steps import Steps, activate, expert, mix

THREADS = 4


def shared_out(layer, x, e):
    hidden, w2 = activate(layer, x.float() @ layer.w1[e].float()), layer.w2[e].float()
    parts = list(zip(hidden.chunk(THREADS, dim=1), w2.chunk(THREADS), strict=True))
    random.shuffle(parts)
    return sum(part @ weights for part, weights in parts)


prepare = Steps(
    mix=lambda layer, x, ids, weights, _: mix(layer, x, ids, weights, shared_out if len(x) == 1 else expert)
).prepare
