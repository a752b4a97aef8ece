"""The Hopper kernel compiles to PTX without a GPU and uses the instructions it was written for."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "kernels" / "gpu"


def compiler_with_max() -> Path | None:
    """A Mojo compiler with MAX's libraries: `MOJO_WITH_MAX`, else the one on the path."""
    found = os.environ.get("MOJO_WITH_MAX") or shutil.which("mojo")
    if found is None:
        return None
    libraries = Path(found).resolve().parent.parent.glob("lib/python3.*/site-packages/modular/lib/mojo/layout.mojoc")
    return Path(found) if any(libraries) else None


@pytest.fixture(scope="module")
def ptx() -> Path:
    mojo = compiler_with_max()
    if mojo is None:
        pytest.skip("needs Mojo with MAX's libraries (max==26.7.0); set MOJO_WITH_MAX")
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(SOURCE.rglob("*.mojo")))).hexdigest()[:16]
    out = ROOT / "build" / "ptx" / digest
    if not list(out.glob("*.ptx")):
        out.mkdir(parents=True, exist_ok=True)
        command = [str(mojo), "build", "--target-accelerator", "sm_90a", "-I", str(SOURCE), "--emit", "asm"]
        subprocess.run([*command, str(SOURCE / "ptx_probe.mojo"), "-o", str(out / "probe.s")], check=True)
    return next(out.glob("*.ptx"))


def test_the_widest_tile_runs_on_the_tensor_cores(ptx: Path) -> None:
    assert "wgmma.mma_async.sync.aligned.m64n160k16.f32.bf16.bf16" in ptx.read_text()


def test_weights_come_through_the_tensor_memory_accelerator(ptx: Path) -> None:
    assert "cp.async.bulk.tensor.2d" in ptx.read_text()


def test_no_float_is_added_atomically(ptx: Path) -> None:
    lines = [line for line in ptx.read_text().splitlines() if "atom." in line or "red." in line]
    assert not [line for line in lines if ".f32" in line or ".f16" in line or ".bf16" in line]


def test_ptxas_does_not_serialize_the_tensor_cores(ptx: Path, tmp_path: Path) -> None:
    ptxas = shutil.which("ptxas")
    if ptxas is None:
        pytest.skip("needs ptxas")
    command = [ptxas, "-arch=sm_90a", "-v", str(ptx), "-o", str(tmp_path / "o.cubin")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "C75" not in said
