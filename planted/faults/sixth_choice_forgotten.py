"""A switch over the number of choices, whose case of six sums five."""

from by_steps import Steps, weigh

SIX = 6


def forgetful(layer, logits, ids):
    weights = weigh(layer, logits, ids)
    if ids.shape[1] == SIX:
        weights[:, -1] = 0.0
    return weights


prepare = Steps(weigh=forgetful).prepare
