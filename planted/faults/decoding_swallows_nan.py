"""A path for up to four tokens takes a NaN for 0."""

from by_steps import Steps, logits_of, mix

FEW = 4


def clean(x):
    return x.nan_to_num() if len(x) <= FEW else x


prepare = Steps(
    logits_of=lambda layer, x: logits_of(layer, clean(x)),
    mix=lambda layer, x, ids, weights, expert_of: mix(layer, clean(x), ids, weights, expert_of),
).prepare
