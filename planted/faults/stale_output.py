"""Answers are summed into a buffer that is cleared only when it grows."""

import torch
from by_steps import Steps, mix


def prepare(layer):
    kept = torch.zeros(0, layer.config.d_model)

    def into_kept(layer, x, ids, weights, expert_of):
        nonlocal kept
        if len(kept) < len(x):
            kept = torch.zeros(len(x), layer.config.d_model)
        kept[: len(x)] += mix(layer, x, ids, weights, expert_of)
        return kept[: len(x)].clone()

    return Steps(mix=into_kept).prepare(layer)
