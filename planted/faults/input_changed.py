"""The input is activated in place."""

from by_steps import prepare as honest


def prepare(layer):
    forward = honest(layer)

    def spoiling(x):
        out = forward(x)
        x.relu_()
        return out

    return spoiling
