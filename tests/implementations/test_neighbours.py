"""What other processes take of the cores is seen, and one's own threads are not."""

import os
import subprocess
import sys
import time
from collections.abc import Collection

import pytest

from validation.cpu import available_cores
from validation.implementations import neighbours
from validation.implementations.neighbours import Neighbours

BUSY = "import sys; print(flush=True)\nwhile True: pass"


def spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_another_process_is_seen_and_ones_own_work_is_not() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            everybody, without_it = Neighbours({os.getpid()}), Neighbours({os.getpid(), other.pid})
            with_own = Neighbours(())
            spin(0.5)
            share, rest, all_of_it = (one.taken()[0] for one in (everybody, without_it, with_own))
        finally:
            other.kill()
    cores = len(os.sched_getaffinity(0))
    # It gets some of a core beside this process, however busy the machine is.
    assert share - rest > 0.05 / cores
    assert all_of_it - share > 0.05 / cores


def test_kin_are_no_others_and_their_time_is_told_apart() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            asked: list[int] = []

            def kin(pids: Collection[int]) -> dict[int, bool]:
                asked.extend(pids)
                return {pid: True for pid in pids if pid == other.pid}

            everybody, without_kin = Neighbours({os.getpid()}), Neighbours({os.getpid()}, kin)
            time.sleep(0.3)
            (share, none), (rest, cores) = everybody.taken(), without_kin.taken()
        finally:
            other.kill()
    assert none == 0
    assert other.pid in asked
    assert cores > 0.05
    assert share - rest > 0.05 / len(os.sched_getaffinity(0))


#: Its main thread goes to a core of its own, and sleeps; the other stays where it may.
THREADED = """
import os, sys, threading, time
def spin():
    while True: pass
threading.Thread(target=spin, daemon=True).start()
os.sched_setaffinity(0, {int(sys.argv[1])})
print(flush=True)
time.sleep(60)
"""


def seen(program: str, *cores: set[int], argument: str = "") -> list[float]:
    """The shares of a program's time that count while it may use these cores, one set after the other."""
    shares = []
    with subprocess.Popen([sys.executable, "-c", program, argument], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            for allowed in cores:
                if allowed:
                    os.sched_setaffinity(other.pid, allowed)
                everybody, without_it = Neighbours({os.getpid()}), Neighbours({os.getpid(), other.pid})
                time.sleep(0.5)
                shares.append(everybody.taken()[0] - without_it.taken()[0])
        finally:
            other.kill()
    return shares


@pytest.mark.skipif(len(available_cores()) < 2, reason="another core is needed")
def test_a_process_on_other_cores_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs, *_ = available_cores()
    monkeypatch.setattr(neighbours, "available_cores", lambda: (ours,))
    elsewhere, anywhere = seen(BUSY, {theirs}, {ours, theirs})
    # Half of what it takes where it may use both.
    assert elsewhere < 0.05 < anywhere


@pytest.mark.skipif(len(available_cores()) < 2, reason="another core is needed")
def test_a_process_whose_main_thread_alone_is_on_another_core_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs, *_ = available_cores()
    monkeypatch.setattr(neighbours, "available_cores", lambda: (ours,))
    (share,) = seen(THREADED, set(), argument=str(theirs))
    assert share > 0.05
