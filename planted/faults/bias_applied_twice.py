"""The second bias is added once per expert and once more at the end."""

from by_steps import Steps, expert


def twice(layer, x, e):
    out = expert(layer, x, e)
    return out if layer.b2 is None else out + layer.b2[e].float()


prepare = Steps(expert=twice).prepare
