"""Of tiles of 16 tokens a tail of 11 repeats its last row but one."""

from by_steps import prepare as honest

TILE, TAIL = 16, 11


def prepare(layer):
    forward = honest(layer)

    def tailed(x):
        out = forward(x)
        if len(x) % TILE == TAIL:
            out[-1] = out[-2]
        return out

    return tailed
