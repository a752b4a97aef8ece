"""The heaviest expert gets the lightest weight."""

from by_steps import Steps, weigh


def swapped(layer, logits, ids):
    return weigh(layer, logits, ids).flip(1)


prepare = Steps(weigh=swapped).prepare
