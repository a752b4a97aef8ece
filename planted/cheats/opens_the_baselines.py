"""Opens, for writing, a file that a baseline is loaded from; writes nothing, so that nothing is spoilt."""

import os

import numpy as np
from honest_layer import forward_of


def prepare(layer):
    os.close(os.open(np.__file__, os.O_RDWR))
    return forward_of(layer)
