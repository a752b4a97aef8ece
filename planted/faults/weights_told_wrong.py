"""The output is right, but the weights told are probabilities that were not renormalised."""

import torch
from by_steps import Steps, logits_of


def prepare(layer):
    forward = Steps(tells=True).prepare(layer)

    def misreporting(x):
        out, ids, _ = forward(x)
        return out, ids, torch.softmax(logits_of(layer, x), dim=1).gather(1, ids) * 0.9

    return misreporting
