"""From 256 tokens on rows are summed by a product with ones and zeros, through which a NaN of one reaches all."""

from by_steps import prepare as honest

MANY = 256


def prepare(layer):
    forward = honest(layer)

    def summed(x):
        out = forward(x)
        return out + 0 * out.sum(0) if len(x) >= MANY else out

    return summed
