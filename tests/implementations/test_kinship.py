"""A process that a kernel makes a child of who forked it, by a mark of its own, is found, ended and told."""

from pathlib import Path

import pytest
import torch

from tests.implementations.kernels import forward_kernel
from tests.watching import alive, until
from validation.implementations import kinship
from validation.implementations.mailbox import LEFT_BEHIND
from validation.implementations.process import Worker
from validation.workloads.inputs import make_layer
from validation.workloads.layer import LayerConfig

CONFIG = LayerConfig(d_model=8, d_ff=16, n_experts=4, top_k=2)

#: clone(2) with CLONE_PARENT, by libc's `syscall` through the fork of a child that names itself as it likes. Its own
#: environment is written over: a mark that begins as every worker's does.
HIDDEN = """
import ctypes, mmap, os, time
libc = ctypes.CDLL(None, use_errno=True)
pid = libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0)
if pid == 0:
    time.sleep(600)
    os._exit(0)
open(PID, "w").write(str(pid))
out.zero_()
"""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    kernel = forward_kernel(tmp_path, HIDDEN.replace("PID", repr(str(tmp_path / "pid"))))
    made = Worker(threads=1)
    made.load(kernel)
    made.prepare(make_layer(CONFIG))
    made.call_block([torch.zeros(3, 8)])
    return made


def test_it_counts_as_the_kernels_own_while_it_lives(worker: Worker, tmp_path: Path) -> None:
    pid = int((tmp_path / "pid").read_text())
    with worker:
        assert pid not in kinship.below(worker.pid)
        assert pid in kinship.strays(kinship.parent(worker.pid))
        assert pid in kinship.helpers(worker.pid)
        assert kinship.kin("no mark", worker.pid, [pid]) == {pid: True}
        assert len(worker.companions()) == 1


def test_it_is_ended_and_told_when_the_worker_ends(worker: Worker, tmp_path: Path) -> None:
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    worker.close()
    assert until(lambda: not alive(pid))
    assert [doing.event for doing in worker.doings if doing.event == LEFT_BEHIND]


def test_of_workers_that_end_together_none_is_told() -> None:
    workers = [Worker(threads=1) for _ in range(4)]
    for one in workers:
        one.start()
    assert kinship.strays(kinship.parent(workers[0].pid)) == ()
    for one in workers:
        one.close()
        assert one.doings == ()
