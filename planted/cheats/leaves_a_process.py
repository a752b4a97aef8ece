"""Starts a process that stays, as a compiler would not."""

import subprocess
import sys

from honest_layer import forward_of


def prepare(layer):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    return forward_of(layer)
