"""Leaves a process behind that wiped its environment, by which it would be found; started while it may compile."""

import subprocess
import sys

from honest_layer import forward_of


def prepare(layer):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={}, start_new_session=True)
    return forward_of(layer)
