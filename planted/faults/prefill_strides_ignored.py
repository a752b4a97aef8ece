"""From 64 tokens on x is read by its address, as if its rows lay side by side."""

import torch
from by_steps import offering
from by_steps import prepare as honest

MANY = 64


def prepare(layer):
    forward = honest(layer)

    def by_address(x):
        return forward(torch.as_strided(x, x.shape, (x.shape[1], 1)) if len(x) >= MANY else x)

    return by_address


prepare = offering(prepare, "any_input")
