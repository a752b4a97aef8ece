"""The first matmul leaves out what is beyond whole tiles of 16 features."""

from by_steps import Steps, expert


def short(layer, x, e):
    whole = x.shape[1] // 16 * 16 or x.shape[1]
    x = x.clone()
    x[:, whole:] = 0
    return expert(layer, x, e)


prepare = Steps(expert=short).prepare
