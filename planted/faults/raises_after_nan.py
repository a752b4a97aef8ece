"""Once a batch held a NaN every later call raises."""

import torch
from by_steps import prepare as honest

_seen = []


def prepare(layer):
    forward = honest(layer)

    def guarded(x):
        if _seen:
            raise RuntimeError("an earlier batch held a NaN")
        if torch.isnan(x).any():
            _seen.append(True)
        return forward(x)

    return guarded
