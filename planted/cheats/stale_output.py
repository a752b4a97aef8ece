"""Hands out the answer of the call before: the right one, one call late."""

from honest_layer import forward_of


def prepare(layer):
    honest, kept = forward_of(layer), []

    def forward(x, out):
        honest(x, out)
        kept.append(out.clone())
        if len(kept) > 1:
            out.copy_(kept.pop(0))

    return forward
