import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reference import cpp_build, cpp_packed, cpp_scalar
from validation.workloads.inputs import make_layer
from validation.workloads.shape import parse_shape

#: A packed multiply or fused multiply-add of floats, as objdump spells it.
_PACKED = re.compile(r"\bv?(mul|fmadd\d+|fmadd)ps\b")


def _instructions(library: Path) -> str:
    """The machine code of the matmul: everything between its baseline's own functions, not libgomp's."""
    command = ["objdump", "-d", "--no-show-raw-insn", str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_scalar_loop_has_no_packed_multiply() -> None:
    library = cpp_build.build("plain.cpp", *cpp_scalar.FLAGS)
    assert not _PACKED.search(_instructions(library))


def test_the_autovectorised_loop_has_packed_multiplies() -> None:
    assert _PACKED.search(_instructions(cpp_build.build("plain.cpp")))


@pytest.mark.skipif(
    "avx512f" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"), reason="the tile is 6 x 64 here"
)
def test_the_register_tile_stays_in_registers() -> None:
    """24 sums of one loop body: a spilled tile would read and write the stack between them."""
    loops = re.split(r"\n(?=[0-9a-f]+ <)", _instructions(cpp_build.build("packed.cpp")))
    bodies = [re.findall(r"vfmadd\d+ps", loop) for loop in loops]
    assert max(len(body) for body in bodies) >= 24
    tile = next(loop for loop in loops if len(re.findall(r"vfmadd\d+ps.*zmm", loop)) == 24)
    assert not re.search(r"vmovaps[^\n]*zmm\d+,[^\n]*\((%rsp|%rbp)\)", tile)


def test_a_second_build_is_the_first_one() -> None:
    first = cpp_build.build("plain.cpp")
    stamp = first.stat().st_mtime_ns
    assert cpp_build.build("plain.cpp") == first
    assert first.stat().st_mtime_ns == stamp


def test_other_flags_are_another_library() -> None:
    assert cpp_build.build("plain.cpp") != cpp_build.build("plain.cpp", *cpp_scalar.FLAGS)


def test_no_compiler_is_answered_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RuntimeError, match="apt-get install g\\+\\+"):
        cpp_build.build("plain.cpp")


def test_a_refusing_compiler_is_quoted() -> None:
    with pytest.raises(RuntimeError, match="-fno-such-flag"):
        cpp_build.build("plain.cpp", "-fno-such-flag")


@pytest.mark.skipif(shutil.which("clang++") is None, reason="clang++ is not installed")
def test_clang_compiles_the_same_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "clang++")
    assert cpp_build.build("packed.cpp").exists()


def test_a_tensor_that_is_not_contiguous_is_refused() -> None:
    layer = make_layer(parse_shape("4x16x32-E2-k1-float32").layer)
    forward = cpp_packed.prepare(layer)
    x = layer.w1.new_zeros(16, 4).T
    with pytest.raises(ValueError, match="x must be contiguous float32"):
        forward(x, x.contiguous())
