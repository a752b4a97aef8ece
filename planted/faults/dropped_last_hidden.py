"""The second matmul leaves out the last hidden value."""

from by_steps import Steps, activate


def short(layer, x, e):
    hidden = activate(layer, x.float() @ layer.w1[e].float())
    return hidden[:, :-1] @ layer.w2[e, :-1].float()


prepare = Steps(expert=short).prepare
