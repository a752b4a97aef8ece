"""One token in ten thousand gets no answer."""

from by_steps import Steps, mix


def lossy(layer, x, ids, weights, expert_of):
    out = mix(layer, x, ids, weights, expert_of)
    out[9999::10_000] = 0.0
    return out


prepare = Steps(mix=lossy).prepare
