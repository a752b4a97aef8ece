"""x is read as if it were contiguous, whatever its strides."""

import torch
from by_steps import prepare as honest


def prepare(layer):
    forward = honest(layer)

    def blind(x):
        return forward(torch.as_strided(x, x.shape, (x.shape[1], 1)).clone())

    return blind
