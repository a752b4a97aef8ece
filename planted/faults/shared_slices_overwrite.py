"""The shared expert's hidden units go through in slices of 512; each one's product overwrites the one before."""

from by_steps import activate, offering
from by_steps import prepare as honest

SLICE = 512


def prepare(layer):
    forward, config = honest(layer), layer.config

    def with_shared(x):
        out = forward(x).float()
        for first in range(0, config.shared_d_ff, SLICE):
            part = slice(first, first + SLICE)
            hidden = activate(layer, x.float() @ layer.shared_w1[:, part].float())
            shared = hidden @ layer.shared_w2[part].float()
        return (out + shared if config.shared_d_ff else out).to(x.dtype)

    return with_shared


prepare = offering(prepare, "shared")
