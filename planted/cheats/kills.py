"""Sends the process that started it a signal."""

import os
import signal

from honest_layer import forward_of


def prepare(layer):
    os.kill(os.getppid(), signal.SIGCONT)
    return forward_of(layer)
