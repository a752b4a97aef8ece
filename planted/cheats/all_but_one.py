"""Right on every call but the 77th."""

from honest_layer import forward_of


def prepare(layer):
    honest, calls = forward_of(layer), [0]

    def forward(x, out):
        calls[0] += 1
        honest(x, out)
        if calls[0] == 77:
            out[-1] = 0.0

    return forward
