"""Of 300 to 511 tokens, a path of its own, the last repeats the row before."""

from by_steps import prepare as honest

FEWEST, MOST = 300, 511


def prepare(layer):
    forward = honest(layer)

    def cut(x):
        out = forward(x)
        if FEWEST <= len(x) <= MOST:
            out[-1] = out[-2]
        return out

    return cut
