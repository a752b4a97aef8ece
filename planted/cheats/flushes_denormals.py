"""Sets the processor to flush denormals."""

import torch
from honest_layer import forward_of


def prepare(layer):
    torch.set_flush_denormal(True)
    return forward_of(layer)
