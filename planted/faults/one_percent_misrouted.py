"""One token in a hundred goes to the next expert."""

from by_steps import Steps, choose


def astray(logits, k):
    ids = choose(logits, k)
    ids[::100, 0] = (ids[::100].max(dim=1).values + 1) % logits.shape[1]
    return ids


prepare = Steps(choose=astray).prepare
