"""The first and the last moment of a worker."""

from __future__ import annotations

import ctypes
import os
import signal

from .serve import serve

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def live(control: int, audit: int, parent: int) -> None:
    """Serves requests until the suite closes the channel, or until `parent`, who started this process, dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # What a child leaves behind stays this process's child, and is found when this process is ended.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    # The parent may have died before the request above took hold.
    if os.getppid() == parent:
        serve(control, audit)
    # No interpreter shutdown: a candidate's threads and exit hooks have nothing left to say.
    os._exit(0)
