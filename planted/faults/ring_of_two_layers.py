"""Prepared layers lie in a ring of two: of three the first answers with the third's weights."""

from by_steps import prepare as honest

_ring = [None, None]
_prepared = [0]


def prepare(layer):
    place = _prepared[0] % len(_ring)
    _prepared[0] += 1
    _ring[place] = honest(layer)

    def forward(x):
        return _ring[place](x)

    return forward
