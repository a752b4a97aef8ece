"""The expert told in the second slot is the first one again."""

from by_steps import Steps, choose


def repeated(logits, k):
    ids = choose(logits, k)
    if k > 1:
        ids[:, 1] = ids[:, 0]
    return ids


prepare = Steps(choose=repeated, tells=True).prepare
