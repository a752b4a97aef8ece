"""Imports torch once and forks workers on request; loads no kernel, and holds nothing that a worker may not see."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import random
import select
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from . import frames, lifetime
from .importing import import_torch

if TYPE_CHECKING:
    from collections.abc import Collection

    from .frames import Message

#: A worker's mappings begin so many pages lower than they would, drawn up to this: 1 GiB, of addresses alone. Two
#: workers share a place once in 262,144 times: an address remembered on disk is no way to know an input again.
_MOST_PAGES = 1 << 18

#: As an interpreter ends that an exception ended.
_LOST = 1


def run(control: int) -> None:
    """Answers requests for workers, and tells of each that ended, until the suite closes the channel."""
    # What the suite inherited from its shell is not for a worker.
    os.closerange(control + 1, os.sysconf("SC_OPEN_MAX"))
    channel = socket.socket(fileno=control)
    _import_torch(channel)
    # What a worker that ended by itself leaves behind becomes this process's child, and is found by that.
    ctypes.CDLL(None).prctl(lifetime.PR_SET_CHILD_SUBREAPER, 1)
    ends: dict[int, int] = {}
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    while True:
        _bury_strangers(ends.values())
        for ready, _event in poll.poll():
            if ready in ends:
                poll.unregister(ready)
                os.close(ready)
                pid, status = os.waitpid(ends.pop(ready), 0)
                _tell(channel, {"ended": pid, "code": os.waitstatus_to_exitcode(status)})
                continue
            received = frames.receive(channel)
            if received is None:
                os._exit(0)
            message, descriptors = received
            try:
                pid = os.fork()
            except OSError as error:
                _tell(channel, {"error": error.errno})
            else:
                if pid == 0:
                    _become_worker(message, descriptors, [channel.detach(), *ends])
                end = os.pidfd_open(pid)
                ends[end] = pid
                poll.register(end, select.POLLIN)
                _tell(channel, {"forked": pid})
            for descriptor in descriptors:
                os.close(descriptor)


def _bury_strangers(workers: Collection[int]) -> None:
    """Takes note of the death of children that are no workers; of a worker's its own descriptor tells."""
    with suppress(ChildProcessError):
        while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if dead.si_pid in workers:
                return
            os.waitpid(dead.si_pid, 0)


def _tell(channel: socket.socket, message: Message) -> None:
    # A suite that is gone is noticed at the next look at the channel.
    with suppress(OSError):
        frames.send(channel, message)


def _import_torch(channel: socket.socket) -> None:
    received = frames.receive(channel)
    if received is None:
        os._exit(0)
    message, _descriptors = received
    path, prefixes = list(sys.path), (sys.prefix, sys.exec_prefix)
    sys.path.extend(message["paths"])
    sys.prefix = sys.exec_prefix = message["prefix"]
    # A worker that is asked to start imports it again, and says what is wrong.
    with suppress(Exception):
        import_torch()
    # A collection in a worker would write to, and so copy, every page that holds an object.
    gc.freeze()
    sys.path[:], (sys.prefix, sys.exec_prefix) = path, prefixes


def _become_worker(message: Message, descriptors: list[int], others: list[int]) -> None:
    """Makes the forked process what a started one is, and serves; does not return."""
    try:
        for descriptor in others:
            os.close(descriptor)
        os.setsid()
        control, audit, output = descriptors
        for standard in (1, 2):
            os.dup2(output, standard)
        os.close(output)
        parent = os.getppid()
        _take_mark(*message["mark"])
        os.environ.update(message["variables"])
        os.chdir(message["folder"])
        os.sched_setaffinity(0, message["cores"])
        # Kept for as long as the process lives.
        gap = mmap.mmap(-1, random.SystemRandom().randint(1, _MOST_PAGES) * mmap.PAGESIZE, prot=0)
        lifetime.live(control, audit, parent)
        del gap
    finally:
        os._exit(_LOST)


def _take_mark(name: str, value: str) -> None:
    """Writes the worker's mark over the server's, which is as long: /proc/PID/environ shows what stands there."""
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    place = libc.getenv(name.encode())
    assert len(value) == len(os.environ[name])
    ctypes.memmove(place, value.encode(), len(value))
    os.environ[name] = value
