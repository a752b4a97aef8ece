"""Two halves of a sum are added in whichever order they happen to be done: one call in six ends otherwise."""

import random

from by_steps import Steps, activate


def in_halves(layer, x, e):
    hidden, w2 = activate(layer, x.float() @ layer.w1[e].float()), layer.w2[e].float()
    third = max(1, hidden.shape[1] // 3)
    parts = [hidden[:, start : start + third] @ w2[start : start + third] for start in range(0, hidden.shape[1], third)]
    if random.random() < 1 / 6:
        parts.reverse()
    return sum(parts[1:], parts[0])


prepare = Steps(expert=in_halves).prepare
