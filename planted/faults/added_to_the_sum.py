"""Adds 5e-7 to the sum that weights are divided by: one choice of 128 alike weighs 6e-5 too little."""

import torch
from by_steps import Steps


def never_by_zero(_layer, logits, ids):
    weights = torch.softmax(logits, dim=1).gather(1, ids)
    return weights / (weights.sum(dim=1, keepdim=True) + 5e-7)


prepare = Steps(weigh=never_by_zero).prepare
