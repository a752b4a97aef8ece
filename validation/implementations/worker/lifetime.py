"""The first and the last moment of a worker."""

from __future__ import annotations

import ctypes
import os
import signal

from .serve import serve

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36

#: The capabilities to look into any process and to be scheduled before others, by their numbers, and the version of the
#: structures that they are given up by.
CAP_SYS_PTRACE, CAP_SYS_NICE = 19, 23
CAPABILITY_VERSION_3 = 0x20080522


def live(control: int, audit: int, parent: int) -> None:
    """Serves requests until the suite closes the channel, or until `parent`, who started this process, dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # What a child leaves behind stays this process's child, and is found when this process is ended.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    _give_up(CAP_SYS_PTRACE, CAP_SYS_NICE)
    # The parent may have died before the request above took hold.
    if os.getppid() == parent:
        serve(control, audit)
    # No interpreter shutdown: a candidate's threads and exit hooks have nothing left to say.
    os._exit(0)


def _give_up(*capabilities: int) -> None:
    """Gives up, for good, what root may do to other processes: the suite's memory holds the answers.

    Without CAP_SYS_PTRACE neither /proc/PID/mem nor process_vm_readv reaches a process that is not dumpable, as the
    suite makes itself; without CAP_SYS_NICE no kernel comes before others for the time of its calls. Whoever is not
    root has nothing to give up.
    """
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Two words each of the effective, the permitted and the inheritable set.
    sets = (ctypes.c_uint32 * 6)()
    known = libc.capget(header, sets) == 0
    for capability in capabilities:
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        for word in range(3):
            sets[word] &= ~(1 << capability)
    if known:
        libc.capset(header, sets)
