"""The second bias is forgotten."""

from by_steps import Steps, expert


def unbiased(layer, x, e):
    out = expert(layer, x, e)
    return out if layer.b2 is None else out - layer.b2[e].float()


prepare = Steps(expert=unbiased).prepare
