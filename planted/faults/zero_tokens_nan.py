"""A token is divided by its largest element and multiplied again, as for 8 bits: one of zeros, padding, becomes NaN."""

from by_steps import Steps, expert


def scaled(layer, x, e):
    largest = x.abs().amax(dim=1, keepdim=True)
    return expert(layer, x / largest, e) * largest


prepare = Steps(expert=scaled).prepare
