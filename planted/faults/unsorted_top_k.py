"""Ids come from a top-k that does not sort, weights from one that does."""

from by_steps import Steps, choose, weigh


def unsorted(logits, k):
    return choose(logits, k).sort(dim=1).values


def sorted_weights(layer, logits, ids):
    return weigh(layer, logits, ids).sort(dim=1, descending=True).values


prepare = Steps(choose=unsorted, weigh=sorted_weights).prepare
