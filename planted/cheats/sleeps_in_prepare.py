"""Lets the processor cool before it is measured."""

import time

from honest_layer import forward_of


def prepare(layer):
    time.sleep(1.0)
    return forward_of(layer)
