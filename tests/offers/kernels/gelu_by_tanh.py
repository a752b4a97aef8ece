"""Deals with every option, and takes the tanh form for the exact gelu."""

from whole import ACTIVATIONS, make

prepare = make(activations={**ACTIVATIONS, "gelu": ACTIVATIONS["gelu_tanh"]})
