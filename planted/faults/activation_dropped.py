"""No activation between the matmuls."""

from by_steps import Steps


def linear(layer, x, e):
    return (x.float() @ layer.w1[e].float()) @ layer.w2[e].float()


prepare = Steps(expert=linear).prepare
