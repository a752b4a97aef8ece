"""x is read as if it were contiguous, whatever its strides, though the kernel promises to take any."""

import torch
from by_steps import offering
from by_steps import prepare as honest


def prepare_blind(layer):
    forward = honest(layer)

    def blind(x):
        return forward(torch.as_strided(x, x.shape, (x.shape[1], 1)).clone())

    return blind


prepare = offering(prepare_blind, "any_input")
