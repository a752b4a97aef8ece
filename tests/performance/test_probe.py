"""The probe's loops are what they say, its threads are its own, and its mistakes are told."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from validation.performance import probe as probe_module
from validation.performance.probe import FLAGS, PROBE_SECONDS, Probe, build_probe
from validation.usage import UsageError

x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86-64 assembler")

_STACK = re.compile(r"\(%r[sb]p\b|\(%r[sb]p,|\[sp\b")


def hot_loop(library: Path, function: str) -> list[str]:
    """The instructions between the last backward jump of `function` and its target."""
    objdump = shutil.which("objdump")
    assert objdump is not None, "binutils come with gcc"
    listing = subprocess.run(
        [objdump, "-d", "--no-show-raw-insn", f"--disassemble={function}", str(library)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    code = [
        (int(at, 16), text) for at, text in re.findall(r"^\s+([0-9a-f]+):\s+(\S.*?)\s*$", listing, flags=re.MULTILINE)
    ]
    jumps = [
        (at, int(found[1], 16))
        for at, text in code
        if (found := re.match(r"j\w+\s+([0-9a-f]+)", text)) and int(found[1], 16) < at
    ]
    assert jumps, f"{function} must have a loop"
    end, start = jumps[-1]
    return [text for at, text in code if start <= at <= end]


def touches_stack(loop: list[str]) -> bool:
    return any(_STACK.search(text) for text in loop)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_probe(tmp_path_factory.mktemp("probe"))


@x86
def test_the_float32_loop_is_multiply_adds_in_registers(library: Path) -> None:
    loop = hot_loop(library, "fma_f32_loop")
    assert sum("fmadd" in text for text in loop) in {12, 24}
    assert len(loop) <= 28
    assert not touches_stack(loop)


@x86
def test_every_multiply_add_of_the_speed_probe_reads_memory(library: Path) -> None:
    loop = hot_loop(library, "fma_l1_loop")
    adds = [text for text in loop if "fmadd" in text]
    assert len(adds) in {12, 24}
    assert all("(%r" in text for text in adds)
    assert len(loop) <= len(adds) + 10
    assert not touches_stack(loop)


@x86
def test_the_bfloat16_loop_is_dot_products_in_registers(library: Path) -> None:
    with Probe(folder=library.parent) as probe:
        if not probe.supports("bfloat16"):
            pytest.skip("this processor has no avx512_bf16")
    loop = hot_loop(library, "dot_bf16_loop")
    assert sum("vdpbf16ps" in text for text in loop) == 24
    assert not touches_stack(loop)


@x86
def test_the_tile_loop_is_tile_products_of_other_numbers_than_zero(library: Path) -> None:
    # Zeros take less power, and so leave the clock higher than any layer's numbers do.
    with Probe(folder=library.parent) as probe:
        if "AMX" not in probe.method("bfloat16"):
            pytest.skip("this processor has no AMX, or the system keeps it back")
        loop = hot_loop(library, "tile_bf16_loop")
        assert sum("tdpbf16ps" in text for text in loop) == 4
        assert len(loop) <= 8
        assert not touches_stack(loop)
        run = ctypes.CDLL(str(library)).tile_bf16_loop
        run.argtypes, run.restype = [ctypes.c_float], ctypes.c_float
        assert abs(run(0.0)) > 1


@x86
def test_the_read_loop_reads_vectors_and_writes_nothing(library: Path) -> None:
    loop = hot_loop(library, "read_loop")
    assert sum("(%r" in text for text in loop) == 16
    assert not touches_stack(loop)


@x86
def test_a_probe_that_spills_is_seen_to_touch_the_stack(tmp_path: Path) -> None:
    spilled = build_probe(tmp_path, flags=("-O0", *FLAGS[1:]))
    assert touches_stack(hot_loop(spilled, "fma_f32_loop"))


def test_a_speed_is_what_all_cores_did(library: Path) -> None:
    with Probe(folder=library.parent) as probe:
        assert probe() > 1e8 * len(probe.cores), "a core that does less than 0.1 GFLOP/s is no core"


def test_a_call_releases_the_interpreter_lock(library: Path) -> None:
    with Probe(folder=library.parent) as probe:
        measuring = threading.Thread(target=probe.peak, args=("float32", 1, 0.2))
        measuring.start()
        ticks = 0
        while measuring.is_alive():
            ticks += 1
        assert ticks > 1


def test_a_probe_uses_the_cores_it_is_given(library: Path) -> None:
    first = min(os.sched_getaffinity(0))
    with Probe(cores=[first], folder=library.parent) as probe:
        assert probe() > 0
        with pytest.raises(ValueError, match=r"threads must be in 1 .. 1, one per core; got 2"):
            probe.peak("float32", 2, PROBE_SECONDS)


def test_reading_needs_a_buffer_that_holds_the_working_set(library: Path) -> None:
    with Probe(folder=library.parent, buffer_bytes=1 << 20) as probe:
        assert probe.read(1, PROBE_SECONDS, 1 << 20) > 0
        assert probe.read(1, PROBE_SECONDS, 24 << 10) > 0
        for size in (0, 1000, 2 << 20):
            with pytest.raises(ValueError, match=f"at most the buffer's 1048576; got {size}"):
                probe.read(1, PROBE_SECONDS, size)


def test_an_unknown_dtype_is_refused_by_name(library: Path) -> None:
    with Probe(folder=library.parent) as probe, pytest.raises(ValueError, match="got int4"):
        probe.peak("int4", 1, PROBE_SECONDS)


def test_a_closed_probe_says_so_and_closes_twice(library: Path) -> None:
    probe = Probe(folder=library.parent)
    probe.close()
    probe.close()
    with pytest.raises(ValueError, match="closed"):
        probe()
    with pytest.raises(ValueError, match="closed"):
        probe.method("bfloat16")


def test_a_probe_of_another_process_is_refused_instead_of_hanging(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Probe(folder=library.parent) as probe:
        with monkeypatch.context() as forked:
            forked.setattr(os, "getpid", lambda: -1)
            with pytest.raises(ValueError, match="forked"):
                probe()
        assert probe() > 0


def test_a_second_build_is_found_and_a_changed_source_is_not(library: Path, tmp_path: Path) -> None:
    assert build_probe(library.parent) == library
    source = tmp_path / "probe.c"
    source.write_text(probe_module.SOURCE.read_text() + "\n")
    assert build_probe(library.parent, source=source) != library
    assert [path.suffix for path in library.parent.iterdir()] == [".so", ".so"]


def test_a_machine_without_a_compiler_gets_the_line_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"a C compiler is needed.*sudo apt-get install -y gcc"):
        Probe(folder=tmp_path)


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing_behind(tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text("int f(void) { return nothing; }")
    folder = tmp_path / "build"
    with pytest.raises(UsageError, match=r"(?s)must build broken\.c.*nothing"):
        build_probe(folder, source=source)
    assert list(folder.iterdir()) == []
