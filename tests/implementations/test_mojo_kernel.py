"""The kernel file refuses what it cannot compute, naming thing, rule and value, and survives what users do to it."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch

from tests.kernels.loading import KERNEL_FILE, Prepare, load_module, run
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import Layer, LayerConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from validation.implementations.mojo_build import BuiltKernel

CONFIG = LayerConfig(d_model=24, d_ff=40, n_experts=4, top_k=2)


def tensors(tokens: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    x = draw_tokens(CONFIG, tokens)
    return x, torch.empty_like(x)


BAD_TENSORS: dict[str, Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]] = {
    "x must have the layer's dtype torch.float32; got torch.float64": lambda x, out: (x.double(), out),
    "out must have the layer's dtype torch.float32; got torch.int32": lambda x, out: (x, out.int()),
    "x must be on the CPU; got meta": lambda x, out: (x.to("meta"), out),
    "x must have 2 dimensions [T, d_model]; got shape [144]": lambda x, out: (x.reshape(-1), out),
    "x must be contiguous; got strides [1, 6] for shape [6, 24]": lambda x, out: (x.T.contiguous().T, out),
    "out must be contiguous; got strides [48, 1]": lambda x, _: (x, torch.empty(6, 48)[:, :24]),
    "x and out must both be [T, 24]; got [6, 12] and [6, 24]": lambda x, out: (x[:, :12].contiguous(), out),
    "x and out must both be [T, 24]; got [6, 24] and [5, 24]": lambda x, out: (x, out[:5]),
    "out must not overlap x": lambda x, _: (x, x),
}


@pytest.mark.parametrize("message", BAD_TENSORS)
def test_a_bad_input_or_output_is_named(prepare: Prepare, message: str) -> None:
    forward = prepare(make_layer(CONFIG))
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        forward(*BAD_TENSORS[message](*tensors()))


def test_an_output_that_shares_its_last_row_with_the_input_is_refused(prepare: Prepare) -> None:
    memory = torch.zeros(11, 24)
    with pytest.raises(ValueError, match="out must not overlap x"):
        prepare(make_layer(CONFIG))(memory[:6], memory[5:])


BAD_LAYERS: dict[str, Callable[[Layer], dict[str, object]]] = {
    "router_weight must have shape [24, 4]; got [4, 24]": lambda layer: {"router_weight": layer.router_weight.T},
    "w1 must have the layer's dtype torch.float32; got torch.float16": lambda layer: {"w1": layer.w1.half()},
    "w2 must be contiguous": lambda layer: {"w2": layer.w2.transpose(1, 2).contiguous().transpose(1, 2)},
    "w1 must be on the CPU; got meta": lambda layer: {"w1": layer.w1.to("meta")},
    "w_gate must be a tensor of shape [4, 24, 40]; got None": lambda _: {"gated": True},
    "b1 must have shape [4, 40]; got [40]": lambda _: {"b1": torch.zeros(40)},
    "device must be 'cpu' for this kernel; got 'cuda'": lambda _: {"device": "cuda"},
    "activation must be one of relu, gelu, gelu_tanh, silu; got 'elu'": lambda _: {"activation": "elu"},
    "dtype must be one of float32, bfloat16, float16; got 'float64'": lambda _: {"dtype": "float64"},
    "top_k must not exceed n_experts = 4; got 5": lambda _: {"top_k": 5},
    "d_ff must be at least 1; got 0": lambda _: {"d_ff": 0},
}


@pytest.mark.parametrize("message", BAD_LAYERS)
def test_a_bad_layer_is_named(prepare: Prepare, message: str) -> None:
    layer = make_layer(CONFIG)
    changes = BAD_LAYERS[message](layer)
    options = dataclasses.asdict(CONFIG)
    fields = {field.name: getattr(layer, field.name) for field in dataclasses.fields(Layer)}
    config = SimpleNamespace(**{**options, **{name: value for name, value in changes.items() if name in options}})
    changed = SimpleNamespace(**{**fields, **changes, "config": config})
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        prepare(changed)  # type: ignore[arg-type]


def test_the_layers_own_weights_are_not_needed_after_prepare(prepare: Prepare) -> None:
    layer = make_layer(CONFIG)
    forward, (x, _) = prepare(layer), tensors()
    before, _, _ = run(forward, x)
    for weights in (layer.router_weight, layer.w1, layer.w2):
        weights.zero_()
    assert torch.equal(run(forward, x)[0], before)


def test_python_threads_may_call_at_once(prepare: Prepare) -> None:
    forward = prepare(make_layer(CONFIG))
    inputs = [draw_tokens(CONFIG, 50, seed) for seed in range(6)]
    expected = [run(forward, x)[0] for x in inputs]
    wrong: list[int] = []

    def call(index: int) -> None:
        if any(not torch.equal(run(forward, inputs[index])[0], expected[index]) for _ in range(200)):
            wrong.append(index)

    threads = [threading.Thread(target=call, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_other_python_threads_run_while_the_kernel_does(prepare: Prepare) -> None:
    config = LayerConfig(d_model=256, d_ff=2048, n_experts=4, top_k=4)
    forward, x = prepare(make_layer(config), threads=1), draw_tokens(config, 4096)
    done, ticks = threading.Event(), 0

    def call() -> None:
        forward(x, torch.empty_like(x))
        done.set()

    thread = threading.Thread(target=call)
    thread.start()
    while not done.is_set():
        ticks += 1
        time.sleep(0.0005)
    thread.join()
    # The call takes over 50 ms; a kernel that keeps the lock lets this loop run once or twice.
    assert ticks > 5


def test_a_forked_child_is_refused_until_it_prepares_its_own(built: BuiltKernel) -> None:
    # In a process of its own: this one may hold other libraries' threads, which a fork would lose too.
    script = f"""
import os, sys
sys.path.insert(0, {str(KERNEL_FILE.parents[2])!r})
import torch
from tests.kernels.loading import load_module
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import LayerConfig
kernel = load_module()
config = LayerConfig(d_model=24, d_ff=40, n_experts=4, top_k=2)
layer, x = make_layer(config), draw_tokens(config, 90)
forward, out = kernel.prepare(layer), torch.empty_like(x)
forward(x, out)
child = os.fork()
if child == 0:
    try:
        forward(x, torch.empty_like(x))
    except Exception as error:
        print(error, flush=True)
    again = torch.empty_like(x)
    kernel.prepare(layer)(x, again)
    os._exit(0 if torch.equal(out, again) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    environment = {**os.environ, "MOE_KERNEL_LIBRARY": str(built.library), "MOE_KERNEL_THREADS": "2"}
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    refusal, code = told.stdout.splitlines()
    assert "forked after the kernel started its threads" in refusal
    assert code == "0"


def test_idle_workers_sleep(prepare: Prepare) -> None:
    forward, (x, out) = prepare(make_layer(CONFIG), threads=4), tensors(300)
    forward(x, out)
    time.sleep(0.1)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1


def test_the_packed_weights_are_freed_with_the_layer(prepare: Prepare) -> None:
    config = LayerConfig(d_model=512, d_ff=2048, n_experts=8, top_k=1)  # 64 MiB packed
    layer = make_layer(config)

    def resident_mib() -> int:
        with open("/proc/self/statm") as file:  # noqa: PTH123 -- a kernel interface
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20

    prepare(layer)
    gc.collect()
    before = resident_mib()
    for _ in range(6):
        prepare(layer)
    gc.collect()
    assert resident_mib() - before < 64


@pytest.mark.parametrize(("variable", "value"), [("MOE_KERNEL_THREADS", "0"), ("OMP_NUM_THREADS", "two")])
def test_a_number_of_threads_that_is_none_is_named(
    built: BuiltKernel,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
) -> None:
    monkeypatch.setenv("MOE_KERNEL_LIBRARY", str(built.library))
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=f"{variable} must be a positive whole number; got '{value}'"):
        load_module().prepare(make_layer(CONFIG))


def test_without_a_thread_variable_the_affinity_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOE_KERNEL_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    assert load_module()._threads() == 3


@pytest.mark.parametrize("library", ["", "relative.so", "/nowhere/moe_kernel.so"])
def test_a_library_that_is_not_there_says_how_to_build_it(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOE_KERNEL_LIBRARY", library)
    with pytest.raises(RuntimeError, match="MOE_KERNEL_LIBRARY must be the absolute path"):
        load_module().prepare(make_layer(CONFIG))


def test_a_library_for_another_cpu_is_refused_before_it_is_loaded(
    tmp_path: Path,
    built: BuiltKernel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest = json.loads(built.library.with_name("manifest.json").read_text())
    manifest["features"].append("avx1024")
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    shutil.copy(built.library, tmp_path)
    monkeypatch.setenv("MOE_KERNEL_LIBRARY", str(tmp_path / built.library.name))
    with pytest.raises(RuntimeError, match="compiled for a CPU with avx1024, which this machine lacks"):
        load_module().prepare(make_layer(CONFIG))


def test_this_machine_has_every_feature_its_own_build_uses(built: BuiltKernel) -> None:
    assert load_module()._missing_features(built.library.with_name("manifest.json")) == []


def test_the_kernel_file_imports_nothing_of_ours() -> None:
    script = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location('kernel', {str(KERNEL_FILE)!r})
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print([name for name in sys.modules if name.split('.')[0] in ('validation', 'reference')])
"""
    told = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert told.stdout == "[]\n"


def test_child_processes_find_the_environment_unchanged(prepare: Prepare) -> None:
    # Mojo's Python support sets PYTHONEXECUTABLE and PYTHONPATH=":" when it starts: children lost their packages.
    run(prepare(make_layer(CONFIG)), tensors()[0])
    told = subprocess.run(["/usr/bin/env", "-0"], capture_output=True, text=True, check=True)
    seen = {line.split("=", 1)[0] for line in told.stdout.split("\0")}
    assert {name for name in seen - set(os.environ) if name.startswith(("PYTHON", "MOJO"))} == set()
