"""Reads rows by the larger stride, and takes it that features lie side by side where they do not."""

import torch
from by_steps import offering
from by_steps import prepare as honest


def prepare(layer):
    forward = honest(layer)

    def by_rows(x):
        tokens, features = x.shape
        rows, columns = x.stride()
        if not tokens or columns > rows:
            return forward(x)
        return forward(torch.as_strided(x, (tokens, features), (max(rows, features), 1)))

    return by_rows


prepare = offering(prepare, "any_input")
