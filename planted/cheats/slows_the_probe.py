"""Works for a moment every 2 ms, whether called or not: a probe beside its calls finds a slower machine."""

import hashlib
import threading
import time

from honest_layer import forward_of


def disturb():
    # A digest leaves the interpreter to others.
    moment = bytes(128 << 10)
    while True:
        time.sleep(0.002)
        hashlib.sha256(moment)


def prepare(layer):
    threading.Thread(target=disturb, daemon=True).start()
    return forward_of(layer)
