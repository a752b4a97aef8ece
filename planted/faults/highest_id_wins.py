"""Exact ties go to the highest expert id, though the kernel promises the lowest."""

from by_steps import Steps, choose


def backwards(logits, k):
    return logits.shape[1] - 1 - choose(logits.flip(1), k)


prepare = Steps(choose=backwards, tells=True).prepare
