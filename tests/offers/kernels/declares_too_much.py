"""Says that it deals with a bias, and never looks at one."""

from plain import prepare as plain


def prepare(layer):
    return plain(layer)


prepare.offers = ("bias",)
