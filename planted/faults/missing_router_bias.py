"""The router's bias is forgotten."""

from by_steps import Steps, offering


def unbiased(layer, x):
    return x.float() @ layer.router_weight.float()


prepare = offering(Steps(logits_of=unbiased).prepare, "router_bias")
