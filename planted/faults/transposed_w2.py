"""w2 is read transposed where it is square, so that the shapes do not show it."""

from by_steps import Steps, activate


def transposed(layer, x, e):
    hidden, w2 = activate(layer, x.float() @ layer.w1[e].float()), layer.w2[e].float()
    return hidden @ (w2.T if w2.shape[0] == w2.shape[1] else w2)


prepare = Steps(expert=transposed).prepare
