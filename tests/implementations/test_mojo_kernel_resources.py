"""What the kernel takes of a machine: threads, CPUs and memory, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.kernels.loading import KERNEL_FILE, Prepare, load_module, run
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import LayerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from validation.implementations.mojo_build import BuiltKernel

ROOT = KERNEL_FILE.parents[2]

#: Runs the lines of {work} on a prepared layer, and tells how threads and memory were before and after.
SCRIPT = """
import json, os, sys
sys.path.insert(0, {root!r})
import torch
from tests.kernels.loading import load_module
from validation.workloads.inputs import make_layer
from validation.workloads.layer import LayerConfig
torch.set_num_threads(1)
tasks = lambda: set(os.listdir("/proc/self/task"))
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
layer = make_layer(LayerConfig({config}))
x = torch.randn({tokens}, layer.config.d_model)
out = torch.zeros_like(x)
kernel = load_module()
kernel._kernel()  # Mojo's runtime starts a sleeping thread for each CPU when it is loaded
before = tasks()
forward = kernel.prepare(layer)
started = tasks() - before
affinities = [sorted(os.sched_getaffinity(int(task))) for task in started]
open("/proc/self/clear_refs", "w").write("5")
resident = peak()
forward(x, out)
print(json.dumps(dict(workers=len(started), affinities=affinities, mine=sorted(os.sched_getaffinity(0)),
                      grown=peak() - resident)))
"""


def told(
    built: BuiltKernel,
    config: str,
    tokens: int,
    *,
    variables: dict[str, str] | None = None,
    cpus: set[int] | None = None,
) -> dict[str, Any]:
    """What the script tells, run in an environment of these thread variables and on these CPUs."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
    environment |= {"MOE_KERNEL_LIBRARY": str(built.library)} | (variables or {})
    script = SCRIPT.format(root=str(ROOT), config=config, tokens=tokens)
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        preexec_fn=None if cpus is None else lambda: os.sched_setaffinity(0, cpus),
    )
    answers: dict[str, Any] = json.loads(answer.stdout)
    return answers


TWO = {"MOE_KERNEL_THREADS": "2"}
SMALL = "d_model=24, d_ff=40, n_experts=4, top_k=2"


@pytest.mark.parametrize(
    ("variables", "workers"),
    [
        ({"MOE_KERNEL_THREADS": "1"}, 0),
        ({"MOE_KERNEL_THREADS": "4"}, 3),
        ({"OMP_NUM_THREADS": "3"}, 2),
        ({"MOE_KERNEL_THREADS": "2", "OMP_NUM_THREADS": "5"}, 1),
    ],
)
def test_it_starts_as_many_threads_as_it_is_told(built: BuiltKernel, variables: dict[str, str], workers: int) -> None:
    assert told(built, SMALL, 300, variables=variables)["workers"] == workers


def test_it_starts_one_thread_for_each_cpu_it_may_run_on_and_keeps_to_them(built: BuiltKernel) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    alone = told(built, SMALL, 300, cpus={allowed[-1]})
    assert alone["workers"] == 0
    every = told(built, SMALL, 300)
    assert every["workers"] == len(allowed) - 1
    narrow = told(built, SMALL, 300, cpus={allowed[-1]}, variables={"MOE_KERNEL_THREADS": "3"})
    assert narrow["affinities"] == [[allowed[-1]]] * 2


def stated_bytes(tokens: int, d_model: int, d_ff: int, top_k: int, threads: int) -> int:
    """What docs/CPU_KERNEL.md says a float32 call needs beyond weights, input and output; rows are padded by 48."""
    slots = tokens * top_k
    return slots * (16 + 4 * (d_model + 48)) + threads * 4 * 96 * (d_model + d_ff + 96 + 32)


#: Memory comes in pages of 4 KiB, or of 2 MiB where the system hands out huge ones; stacks and tensors of the routing.
SLACK = 6 << 20


@pytest.mark.parametrize(("tokens", "d_model", "d_ff", "top_k"), [(8192, 512, 64, 2), (3000, 256, 1024, 4)])
def test_a_call_takes_the_memory_that_is_stated(
    built: BuiltKernel, tokens: int, d_model: int, d_ff: int, top_k: int
) -> None:
    config = f"d_model={d_model}, d_ff={d_ff}, n_experts=4, top_k={top_k}"
    grown = told(built, config, tokens, variables=TWO)["grown"]
    stated = stated_bytes(tokens, d_model, d_ff, top_k, threads=2)
    assert 0.7 * stated < grown < stated + SLACK


def test_memory_stops_growing_with_the_tokens_of_one_pass(built: BuiltKernel) -> None:
    # 256 MiB of results are 16,131 tokens of 4 slots here; 45,000 would take 757 MB in one pass.
    config = "d_model=1000, d_ff=2, n_experts=4, top_k=4"
    grown = told(built, config, 45_000, variables=TWO)["grown"]
    assert grown < stated_bytes(16_131, 1000, 2, 4, threads=2) + SLACK + 45_000 * 4 * 8


def test_threads_may_call_different_layers_of_one_pool_and_of_two_at_once(prepare: Prepare) -> None:
    configs = [LayerConfig(d_model=d, d_ff=40, n_experts=4, top_k=2) for d in (24, 64, 100, 33)]
    calls = [
        (prepare(make_layer(config), threads=2 + index % 2), draw_tokens(config, 60))
        for index, config in enumerate(configs)
    ]
    expected = [run(forward, x)[0] for forward, x in calls]
    wrong: list[int] = []

    def call(index: int) -> None:
        forward, x = calls[index]
        if any(not torch.equal(run(forward, x)[0], expected[index]) for _ in range(100)):
            wrong.append(index)

    threads = [threading.Thread(target=call, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_library_without_its_manifest_is_refused_with_what_to_do(
    tmp_path: Path, built: BuiltKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / built.library.name
    alone.write_bytes(built.library.read_bytes())
    monkeypatch.setenv("MOE_KERNEL_LIBRARY", str(alone))
    with pytest.raises(RuntimeError, match=r"manifest\.json must stand beside the library.*build it here"):
        load_module().prepare(make_layer(LayerConfig(d_model=24, d_ff=40, n_experts=4, top_k=2)))
