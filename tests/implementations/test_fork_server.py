"""Workers forked from one process share torch and nothing else: no fate, no places in memory, no descriptors."""

import os
import signal
from pathlib import Path

import pytest
import torch

from tests.implementations.kernels import forward_kernel, kernel
from tests.watching import alive, until
from validation.cpu import available_cores
from validation.implementations import spawn
from validation.implementations.failure import ImplementationFailed, WorkerEnded
from validation.implementations.fork_server import ForkServer, fork_server
from validation.implementations.inherited import worker_environment
from validation.implementations.limits import Limits
from validation.implementations.process import Worker
from validation.workloads.layer import Layer

LIMITS = Limits(seconds=20, memory_bytes=1 << 30)

#: Where the next mapping lies, in pages, of which float32 holds the last six hexadecimal digits.
WHERE = """
import mmap
page = mmap.mmap(-1, 1 << 24)
out.fill_(float((ctypes.addressof(ctypes.c_char.from_buffer(page)) >> 12) & 0xFFFFFF))
"""


def told(tmp_path: Path, layer: Layer, x: torch.Tensor, body: str) -> float:
    """What the kernel of a new worker writes."""
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(forward_kernel(tmp_path, body))
        worker.prepare(layer)
        return float(worker.call(x).out[0, 0])


def parent(worker: Worker) -> int:
    """The process that forked a worker."""
    return int(Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_workers_of_one_environment_have_one_parent_and_another_has_another() -> None:
    with Worker(threads=1) as one, Worker(threads=1) as two, Worker(threads=2) as other:
        assert parent(one) == parent(two)
        assert parent(one) != parent(other)


def test_every_worker_draws_where_its_memory_lies(tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    # 2^18 places: that three are one happens once in 7e10 times.
    assert len({told(tmp_path, layer, x, WHERE) for _worker in range(3)}) > 1


def test_a_worker_holds_no_descriptor_of_the_others(tmp_path: Path, layer: Layer, x: torch.Tensor) -> None:
    body = """
    links = [os.readlink(f'/proc/self/fd/{fd}') for fd in range(3, 1000) if os.path.exists(f'/proc/self/fd/{fd}')]
    out.fill_(float(sum(link.startswith(('socket:', 'pipe:', 'anon_inode:')) for link in links)))
    """
    with Worker(threads=1) as _elder:
        # Its channel and its reports.
        assert told(tmp_path, layer, x, body) == 2.0


def test_a_worker_has_the_folder_of_the_suite_and_the_cores_it_began_with(
    tmp_path: Path, layer: Layer, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = os.sched_getaffinity(0)
    assert set(available_cores()) == cores
    try:
        # As a kernel does to it that would have the baselines run on one.
        os.sched_setaffinity(0, {max(cores)})
        monkeypatch.chdir(tmp_path)
        body = f"assert os.getcwd() == {str(tmp_path)!r}\nout.fill_(float(len(os.sched_getaffinity(0))))"
        assert told(tmp_path, layer, x, body) == float(len(cores))
        assert os.sched_getaffinity(0) == cores
    finally:
        os.sched_setaffinity(0, cores)


def test_a_worker_of_an_interpreter_of_its_own_has_the_cores_the_suite_began_with() -> None:
    cores = os.sched_getaffinity(0)
    assert set(available_cores()) == cores
    try:
        os.sched_setaffinity(0, {max(cores)})
        spawned = spawn.spawn(1, fresh=True)
        assert os.sched_getaffinity(spawned.process.pid) == cores
        spawn.end(spawned)
    finally:
        os.sched_setaffinity(0, cores)


def test_a_worker_ends_with_the_code_it_gives_itself(tmp_path: Path) -> None:
    with Worker(threads=1, limits=LIMITS) as worker, pytest.raises(WorkerEnded, match="exited with code 5"):
        worker.load(kernel(tmp_path, "import os\nos._exit(5)"))


def test_a_killed_fork_server_takes_its_workers_along_and_the_next_has_another(tmp_path: Path) -> None:
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.start()
        killed = parent(worker)
        os.kill(killed, signal.SIGKILL)
        assert until(lambda: not alive(worker.pid))
        with pytest.raises(WorkerEnded, match="killed by signal SIGKILL"):
            worker.load(kernel(tmp_path, "def prepare(layer): pass"))
    with Worker(threads=1, limits=LIMITS) as after:
        after.start()
        assert parent(after) != killed


@pytest.mark.parametrize("judge", ["os.getppid()", "{suite}"])
def test_a_candidate_may_signal_neither_suite_nor_fork_server(tmp_path: Path, judge: str) -> None:
    source = f"import os\nos.kill({judge.format(suite=os.getpid())}, 18)"
    with Worker(threads=1, limits=LIMITS) as worker, pytest.raises(ImplementationFailed, match="PermissionError"):
        worker.load(kernel(tmp_path, source))


def test_environments_beyond_the_second_take_the_place_of_an_idle_one() -> None:
    kept = [fork_server(worker_environment(threads)) for threads in (3, 4)]
    assert not any(one.gone for one in kept)
    fork_server(worker_environment(5))
    assert kept[0].gone


def test_a_fork_server_that_cannot_be_reached_says_so() -> None:
    one = ForkServer(worker_environment(1))
    one.close()
    with pytest.raises(ConnectionError, match="the process that forks workers is gone"):
        one.fork(("MARK", ""), {}, (0, 1, 2))


def test_the_process_that_forks_ends_with_the_channel() -> None:
    one = ForkServer(worker_environment(1))
    pid = one.pid
    one._channel.close()
    assert until(lambda: not alive(pid))
    os.waitpid(pid, 0)


def test_a_worker_can_be_ended_before_it_is_anything() -> None:
    # Ended by its group alone, of 200 that had not founded one yet some were waited for without end.
    for _worker in range(50):
        with Worker(threads=1):
            pass
