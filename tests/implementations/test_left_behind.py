"""However a candidate or the suite itself ends, no process, no shared memory and no temporary folder is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import torch

from tests.implementations.kernels import forward_kernel
from tests.watching import alive, until
from validation.implementations import kinship
from validation.implementations.failure import ImplementationFailed
from validation.implementations.limits import Limits
from validation.implementations.process import Worker
from validation.workloads.inputs import make_layer
from validation.workloads.layer import LayerConfig

CONFIG: Final = LayerConfig(d_model=8, d_ff=16, n_experts=4, top_k=2)

#: A daemon in a session of its own, with the worker's environment and with none; its pid is told in a file.
DAEMON: Final = """
import subprocess, sys, tempfile
asleep = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
for environment in (None, {}):
    child = subprocess.Popen(asleep, env=environment, start_new_session=True, stdout=subprocess.PIPE)
    open(PIDS, "a").write(child.stdout.readline().decode())
tempfile.mkdtemp()
"""

DEATHS: Final = {
    "exit": "os._exit(3)",
    "killed": "os.kill(os.getpid(), 9)",
    "fault": "import ctypes; ctypes.string_at(0)",
    "hang": "import time; time.sleep(600)",
    "raises": "raise KeyboardInterrupt",
}


def _body(pids: Path, end: str) -> str:
    return DAEMON.replace("PIDS", repr(str(pids))) + end


@pytest.mark.parametrize("end", DEATHS.values(), ids=DEATHS)
def test_nothing_outlives_a_candidate_that_dies(end: str, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with Worker(threads=1, limits=Limits(seconds=5, memory_bytes=1 << 30)) as worker:
        worker.load(forward_kernel(tmp_path, _body(pids, end)))
        worker.prepare(make_layer(CONFIG))
        with pytest.raises(ImplementationFailed):
            worker.call(torch.zeros(3, 8))
        worker_pid, mark = worker.pid, worker._spawned.mark
    daemons = [int(line) for line in pids.read_text().split()]
    assert len(daemons) == 2
    assert not alive(worker_pid)
    assert kinship.descendants(mark) == ()
    assert until(lambda: not alive(daemons[0]))
    if end in {DEATHS["hang"], DEATHS["raises"]}:
        # A process that wiped its environment is found while the worker lives, and by nothing afterwards.
        assert until(lambda: not alive(daemons[1]))
    elif alive(daemons[1]):
        os.kill(daemons[1], signal.SIGKILL)


#: Interrupts are heard as at a terminal, also where the tests' own parent ignores them, as a shell's jobs do.
PROGRAM: Final = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from validation.implementations import spawn
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.process import Worker
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import LayerConfig
config = LayerConfig(d_model=8, d_ff=16, n_experts=4, top_k=2)
with Worker(threads=1) as worker:
    worker.load(parse_kernel(sys.argv[1]))
    worker.prepare(make_layer(config))
    print(worker.pid, spawn.room().folder, flush=True)
    worker.call(draw_tokens(config, 3))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_the_suite(number: signal.Signals, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    kernel = forward_kernel(tmp_path, _body(pids, f"open({str(tmp_path / 'there')!r}, 'w').close()\n{DEATHS['hang']}"))
    command = [sys.executable, "-c", PROGRAM, str(kernel.source)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path.cwd()) as suite:
        assert suite.stdout is not None
        worker_pid, folder = suite.stdout.readline().decode().split()
        assert until((tmp_path / "there").exists, 60.0)
        assert list(Path(folder).iterdir()) != []
        # Memory is shared by anonymous files, which have no name that could be left.
        assert "/dev/shm/" not in Path(f"/proc/{worker_pid}/maps").read_text()  # noqa: S108 -- looked for, not used
        suite.send_signal(number)
    daemon = int(pids.read_text().split()[0])
    assert until(lambda: not alive(int(worker_pid)) and not alive(daemon) and not Path(folder).exists())
    # The one that wiped its environment is found when the suite has a last word, and not after a SIGKILL.
    other = int(pids.read_text().split()[1])
    if alive(other):
        os.kill(other, signal.SIGKILL)
