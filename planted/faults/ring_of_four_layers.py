"""Prepared layers lie in a ring of four: of five the first answers with the fifth's weights."""

from by_steps import prepare as honest

_ring = [None] * 4
_prepared = [0]


def prepare(layer):
    place = _prepared[0] % len(_ring)
    _prepared[0] += 1
    _ring[place] = honest(layer)

    def forward(x):
        return _ring[place](x)

    return forward
