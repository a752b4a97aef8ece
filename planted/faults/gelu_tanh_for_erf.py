"""gelu is computed by its tanh approximation, 3e-4 off."""

from dataclasses import replace

from by_steps import Steps, expert


def approximate(layer, x, e):
    if layer.config.activation != "gelu":
        return expert(layer, x, e)
    return expert(replace(layer, config=replace(layer.config, activation="gelu_tanh")), x, e)


prepare = Steps(expert=approximate).prepare
