"""Says what it offers: a gate and bfloat16. Its bias is wrong, and nobody asks."""

from whole import make

whole = make(forget=("b2",))


def prepare(layer):
    return whole(layer)


prepare.offers = ("gated", "bfloat16")
