"""Refuses what it does not deal with, each in another way."""

from plain import prepare as plain


def prepare(layer):
    if layer.config.dtype != "float32":
        raise TypeError(f"float32 only, not {layer.config.dtype}")
    assert layer.config.activation == "relu", "relu only"
    honest = plain(layer)

    def forward(x):
        if layer.config.gated or layer.b1 is not None:
            raise NotImplementedError("no gate, no bias")
        if layer.router_bias is not None:
            raise ValueError("no bias in the router")
        return honest(x)

    return forward
