"""The Hopper kernel compiles to PTX without a GPU and uses the instructions it was written for."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from validation.implementations.gpu_bundle import gpu_compiler

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "kernels" / "gpu"
MOST_SPILLED_BYTES = 64
#: Of float32's 180 bytes 164 are the producers', which find tiles and have 40 registers each; none is of the sums.
MOST_SPILLED_BYTES_OF_FLOAT32 = 192

#: One process compiles (30 s) and assembles (as long), and far longer on a loaded machine.
pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("ptx")]


@pytest.fixture(scope="module")
def folder() -> Path:
    """Where what was compiled from these sources is kept."""
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(SOURCE.rglob("*.mojo")))).hexdigest()[:16]
    out = ROOT / "build" / "ptx" / digest
    out.mkdir(parents=True, exist_ok=True)
    return out


@pytest.fixture(scope="module")
def ptx(folder: Path) -> list[Path]:
    """The PTX of the hot variants, one file each: widest tiles, narrow tiles, few tokens, small layers, float32."""
    if not list(folder.glob("*.ptx")):
        mojo, _runtime = gpu_compiler()
        command = [str(mojo), "build", "--target-accelerator", "sm_90a", "-I", str(SOURCE), "--emit", "asm"]
        subprocess.run([*command, str(SOURCE / "ptx_probe.mojo"), "-o", str(folder / "probe.s")], check=True)
    return sorted(folder.glob("*.ptx"))


@pytest.fixture(scope="module")
def assembled(ptx: list[Path]) -> list[str]:
    """What ptxas says of each variant."""
    ptxas = shutil.which("ptxas")
    if ptxas is None:
        pytest.skip("needs ptxas")
    return [_assembled(ptxas, path) for path in ptx]


def _assembled(ptxas: str, path: Path) -> str:
    kept = path.with_suffix(".ptxas")
    if not kept.exists():
        command = [ptxas, "-arch=sm_90a", "-v", str(path), "-o", str(path.with_suffix(".cubin"))]
        kept.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stderr)
    return kept.read_text()


def test_each_hot_variant_is_a_kernel_of_its_own(ptx: list[Path]) -> None:
    assert len(ptx) == 5


def test_the_widest_tile_runs_on_the_tensor_cores(ptx: list[Path]) -> None:
    assert any("wgmma.mma_async.sync.aligned.m64n160k16.f32.bf16.bf16" in path.read_text() for path in ptx)


def test_one_variant_multiplies_float32_in_halves(ptx: list[Path]) -> None:
    said = [text for path in ptx if ".f32.tf32.tf32" in (text := path.read_text())]
    assert len(said) == 1
    # Both halves of a float32 are rounded to the 10 bits of mantissa that the tensor cores read (tf32.mojo).
    assert re.search(r"selp\.b32 \s*%r\d+, (0, 4096|4096, 0), ", said[0])
    assert re.search(r"and\.b32 \s*%r\d+, %r\d+, -8192;", said[0])


@pytest.mark.parametrize("instruction", ["cp.async.bulk.tensor.2d", "wgmma.mma_async.sync.aligned.m64n"])
def test_every_variant_has_weights_fetched_in_bulk_and_tensor_cores(ptx: list[Path], instruction: str) -> None:
    assert all(instruction in path.read_text() for path in ptx)


def test_every_variant_waits_for_the_launch_that_it_overlaps_with(ptx: list[Path]) -> None:
    assert all("griddepcontrol.wait" in path.read_text() for path in ptx)


def test_what_targets_are_measured_against_assembles(tmp_path: Path) -> None:
    ptxas = shutil.which("ptxas")
    if ptxas is None:
        pytest.skip("needs ptxas")
    source = Path(__file__).with_name("floors.ptx")
    subprocess.run([ptxas, "-arch=sm_90a", str(source), "-o", str(tmp_path / "floors.cubin")], check=True)


def test_no_float_is_added_atomically(ptx: list[Path]) -> None:
    lines = [line for path in ptx for line in path.read_text().splitlines() if "atom." in line or "red." in line]
    assert not [line for line in lines if ".f32" in line or ".f16" in line or ".bf16" in line]


def test_ptxas_does_not_serialize_the_tensor_cores(assembled: list[str]) -> None:
    assert not [said for said in assembled if "C75" in said]


def test_the_hot_variants_keep_their_sums_in_registers(assembled: list[str]) -> None:
    # A few words that outlive the matmuls may be put away before and fetched after them; the first version of the wide
    # tiles had 844 bytes, read back for every copy.
    spilled = {said: int(found) for said in assembled for found in re.findall(r"(\d+) bytes spill stores", said)}
    assert len(spilled) == 5
    float32 = [said for said in spilled if "moe_layer_float" in said]
    assert [spilled.pop(said) <= MOST_SPILLED_BYTES_OF_FLOAT32 for said in float32] == [True]
    assert max(spilled.values()) <= MOST_SPILLED_BYTES
