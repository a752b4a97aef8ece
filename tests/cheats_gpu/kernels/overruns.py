"""Writes one row more than there is."""

from honest_layer import layer_forward


def prepare(layer):
    honest = layer_forward(layer)

    def forward(x, out):
        out.copy_(honest(x))
        out.as_strided((len(x) + 1, x.shape[1]), out.stride())[-1] = 0.0

    return forward
