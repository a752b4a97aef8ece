"""What is seen of a process from outside."""

import os
from pathlib import Path

import pytest

from validation.implementations import vitals
from validation.implementations.process import Worker


@pytest.mark.parametrize(
    ("opened", "told"),
    [
        (["/dev/null", "/dev/nvidiactl", "/dev/nvidia-uvm"], "none"),
        (["/dev/nvidia0", "/dev/nvidiactl"], "/dev/nvidia0"),
        (["/dev/kfd", "/dev/dri/renderD128"], "/dev/dri/renderD128, /dev/kfd"),
    ],
)
def test_a_gpu_is_seen_by_its_device_file(opened: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "iterdir", lambda _folder: iter(map(Path, opened)))
    monkeypatch.setattr(Path, "readlink", lambda one: one)
    assert vitals.open_gpus(os.getpid()) == told


def test_what_nobody_may_look_at_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_folder: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refused)
    assert vitals.open_gpus(os.getpid()) == "nobody may look"


def test_a_worker_for_a_cpu_is_shown_none() -> None:
    with Worker(threads=1) as worker:
        worker.start()
        environment = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
        assert b"CUDA_VISIBLE_DEVICES=" in environment
        assert worker.state()["open GPUs"] == "none"


def test_a_worker_whose_cores_or_priority_another_changed_says_so() -> None:
    with Worker(threads=1) as worker:
        worker.start()
        assert worker.displaced() == ()
        os.setpriority(os.PRIO_PROCESS, worker.pid, 5)
        (found,) = worker.displaced()
        assert found.startswith("priority: ")
        cores = os.sched_getaffinity(worker.pid)
        if len(cores) > 1:
            os.sched_setaffinity(worker.pid, {min(cores)})
            assert worker.displaced()[0].startswith("cpu affinity: ")
