"""AMX: bfloat16 without it where the system keeps it back, and beside a library that uses it too."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.kernels.expected import EFFECTIVE_BITS, effective_bits, expected
from tests.kernels.loading import KERNEL_FILE, Prepare, load_module, load_prepare, run
from validation.cpu import read_cpu
from validation.implementations.mojo_build import BuiltKernel, build_kernel
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import LayerConfig

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = LayerConfig(d_model=100, d_ff=1100, n_experts=4, top_k=2, dtype="bfloat16")
TOKENS = 150

#: Refuses arch_prctl(ARCH_REQ_XCOMP_PERM, ...), as a container's filter does, then computes and saves an output.
REFUSED = """
import ctypes, struct, sys, torch
sys.path.insert(0, {root!r})
from tests.implementations.test_mojo_kernel_amx import CONFIG, TOKENS
from tests.kernels.loading import load_module
from validation.workloads.inputs import draw_tokens, make_layer
# Load the call's number; unless 158, allow; load its first argument; unless 0x1023, allow; EPERM.
steps = ((0x20, 0, 0, 0), (0x15, 0, 3, 158), (0x20, 0, 0, 16), (0x15, 0, 1, 0x1023), (6, 0, 0, 0x50001),
         (6, 0, 0, 0x7FFF0000))
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
kernel, x = load_module(), draw_tokens(CONFIG, TOKENS)
out = torch.empty_like(x)
_, ids, _ = kernel.prepare(make_layer(CONFIG))(x, out)
torch.save((out, ids, kernel._kernel().tile_shape()[4]), {answer!r})
"""


def uses_tiles(built: BuiltKernel, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setenv("MOE_KERNEL_LIBRARY", str(built.library))
    return bool(load_module()._kernel().tile_shape()[4])


def needs_amx() -> None:
    if "amx_bf16" not in read_cpu().features:
        pytest.skip("this processor has no AMX")


def test_bfloat16_is_right_where_the_system_keeps_amx_back(tmp_path: Path, built: BuiltKernel) -> None:
    needs_amx()
    answer = tmp_path / "answer.pt"
    script = REFUSED.format(root=str(KERNEL_FILE.parents[2]), answer=str(answer))
    environment = {**os.environ, "MOE_KERNEL_LIBRARY": str(built.library), "MOE_KERNEL_THREADS": "2"}
    subprocess.run([sys.executable, "-c", script], env=environment, timeout=120, check=True)
    told: tuple[torch.Tensor, torch.Tensor, Any] = torch.load(answer, weights_only=True)
    out, ids, tiles = told
    assert not tiles
    reference, _ = expected(make_layer(CONFIG), draw_tokens(CONFIG, TOKENS), ids)
    assert effective_bits(out, reference) >= EFFECTIVE_BITS["bfloat16"]


def test_this_machine_uses_amx_where_it_has_it(built: BuiltKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_amx()
    assert uses_tiles(built, monkeypatch)
    assert {"amx-bf16", "amx-tile"} <= set(built.manifest.features)


def test_a_library_with_amx_is_refused_where_there_is_none(
    tmp_path: Path, built: BuiltKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_amx()
    module = load_module()
    flags = (" ".join(set(read_cpu().features) - {"amx_bf16", "amx_tile"})).join(("flags : ", "\n"))
    (tmp_path / "cpuinfo").write_text(flags)
    real = module.Path
    monkeypatch.setattr(module, "Path", lambda path: tmp_path / "cpuinfo" if path == "/proc/cpuinfo" else real(path))
    monkeypatch.setenv("MOE_KERNEL_LIBRARY", str(built.library))
    with pytest.raises(RuntimeError, match="compiled for a CPU with amx-bf16, amx-tile, which this machine lacks"):
        module.prepare(make_layer(CONFIG))


def test_another_library_that_shapes_the_tile_registers_changes_nothing(prepare: Prepare) -> None:
    # oneDNN uses AMX for these, and shapes the registers for itself.
    forward, x = prepare(make_layer(CONFIG)), draw_tokens(CONFIG, TOKENS)
    left, right = torch.randn(2, 70, 70).bfloat16()
    product, (first, _, _) = left @ right, run(forward, x)
    for _ in range(3):
        assert torch.equal(left @ right, product)
        assert torch.equal(run(forward, x)[0], first)


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="builds for x86-64")
def test_a_build_with_pairs_and_without_amx_is_right_too(monkeypatch: pytest.MonkeyPatch) -> None:
    if "avx512_bf16" not in read_cpu().features:
        pytest.skip("this processor has no avx512_bf16")
    built = build_kernel(target_cpu="cooperlake")
    assert isinstance(built, BuiltKernel), str(built)
    assert not uses_tiles(built, monkeypatch)
    x = draw_tokens(CONFIG, TOKENS)
    out, ids, _ = run(load_prepare(built.library)(make_layer(CONFIG)), x)
    reference, _ = expected(make_layer(CONFIG), x, ids)
    assert effective_bits(out, reference) >= EFFECTIVE_BITS["bfloat16"]
