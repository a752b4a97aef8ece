"""Uses its input as scratch memory."""

from honest_layer import forward_of


def prepare(layer):
    honest = forward_of(layer)

    def forward(x, out):
        honest(x, out)
        x.zero_()

    return forward
