"""Of more than 64 experts the best are kept in a list of eight: a ninth choice has no weight."""

import torch
from by_steps import Steps, weigh

MANY, ROOM = 64, 8


def of_eight(layer, logits, ids):
    weights = weigh(layer, logits, ids[:, :ROOM] if logits.shape[1] > MANY else ids)
    return weights.new_zeros(ids.shape).index_copy_(1, torch.arange(weights.shape[1]), weights)


prepare = Steps(weigh=of_eight).prepare
