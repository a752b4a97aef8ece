"""Changes the rounding mode of its thread, and leaves it so."""

import ctypes

from honest_layer import forward_of

FE_DOWNWARD = 0x400


def prepare(layer):
    honest, library = forward_of(layer), ctypes.CDLL("libm.so.6")

    def forward(x, out):
        library.fesetround(FE_DOWNWARD)
        honest(x, out)

    return forward
