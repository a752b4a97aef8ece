"""A path for up to four tokens has a softmax of its own, which subtracts nothing: large logits overflow."""

from by_steps import Steps, weigh

FEW = 4


def naive_if_few(layer, logits, ids):
    if len(logits) > FEW:
        return weigh(layer, logits, ids)
    powers = logits.exp().gather(1, ids)
    return powers / powers.sum(dim=1, keepdim=True)


prepare = Steps(weigh=naive_if_few).prepare
