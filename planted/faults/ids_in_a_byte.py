"""Expert ids are kept in 8 bits: of 384 experts number 256 is taken for number 0."""

from by_steps import Steps, mix


def wrapped(layer, x, ids, weights, expert_of):
    return mix(layer, x, ids % 256, weights, expert_of)


prepare = Steps(mix=wrapped).prepare
