"""Leaves the input negated."""

from honest_layer import layer_forward


def prepare(layer):
    honest = layer_forward(layer)

    def forward(x):
        out = honest(x)
        x.neg_()
        return out

    return forward
