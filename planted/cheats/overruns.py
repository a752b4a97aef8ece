"""Writes one row more than it was given."""

import ctypes

from honest_layer import forward_of


def prepare(layer):
    honest = forward_of(layer)

    def forward(x, out):
        honest(x, out)
        ctypes.memset(out.data_ptr() + out.nbytes, 0, out.stride(0) * out.element_size())

    return forward
