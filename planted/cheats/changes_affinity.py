"""Pins the process, or frees it from its pins."""

import os

from honest_layer import forward_of


def prepare(layer):
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)} if len(cores) > 1 else cores | {1})
    os.nice(1)
    return forward_of(layer)
