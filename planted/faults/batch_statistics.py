"""Logits are centred by the batch's mean: the answer of a token depends on its neighbours."""

from by_steps import Steps, logits_of


def centred(layer, x):
    logits = logits_of(layer, x)
    return logits - logits.mean(dim=0, keepdim=True)


prepare = Steps(logits_of=centred).prepare
