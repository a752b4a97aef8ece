"""A batch smaller than the one before keeps that one's last row in its own."""

from by_steps import prepare as honest


def prepare(layer):
    forward = honest(layer)
    before = None

    def stale(x):
        nonlocal before
        out = forward(x)
        if before is not None and 0 < len(x) < len(before):
            out[-1] = before[-1]
        before = out.clone()
        return out

    return stale
