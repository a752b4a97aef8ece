"""The loop over experts ends one too early."""

from by_steps import Steps, mix


def all_but_last(layer, x, ids, weights, expert_of):
    last = ids == layer.config.n_experts - 1
    return mix(layer, x, ids, weights.masked_fill(last, 0.0), expert_of)


prepare = Steps(mix=all_but_last).prepare
