"""A build is found again when nothing changed, made anew when anything did, and says clearly why it cannot be made."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from validation.implementations import mojo_build
from validation.implementations.mojo_build import BuildFailure, BuiltKernel, build_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

#: A compiler of the test's choosing: says its version and target, counts its compilations, writes the sources' bytes.
COMPILER = """#!/bin/sh
case "$*" in
--version) echo "Mojo {version}" ;;
*--print-effective-target*) printf '  %s\\n' '--target-cpu {cpu}' '--target-features +avx2,+fma,-pku' ;;
*) echo compiled >> {log}; {effect} ;;
esac
"""
WRITE = 'for last; do :; done; echo library > "$last"'


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "kernels" / "moe").mkdir(parents=True)
    (tmp_path / "kernels" / "bindings").mkdir()
    (tmp_path / "kernels" / "moe" / "layer.mojo").write_text("a")
    (tmp_path / "kernels" / "bindings" / "moe_kernel.mojo").write_text("b")
    return tmp_path / "kernels"


@pytest.fixture
def build(tmp_path: Path, sources: Path) -> Callable[..., BuiltKernel | BuildFailure]:
    def build(
        version: str = "1", cpu: str = "zen", effect: str = WRITE, defines: tuple[str, ...] = ()
    ) -> BuiltKernel | BuildFailure:
        compiler = tmp_path / "mojo"
        compiler.write_text(COMPILER.format(version=version, cpu=cpu, effect=effect, log=tmp_path / "log"))
        compiler.chmod(0o755)
        return build_kernel(sources=sources, cache=tmp_path / "cache", compiler=compiler, defines=defines)

    return build


def compilations(tmp_path: Path) -> int:
    return len((tmp_path / "log").read_text().splitlines())


def built(result: BuiltKernel | BuildFailure) -> BuiltKernel:
    assert isinstance(result, BuiltKernel), str(result)
    return result


def failed(result: BuiltKernel | BuildFailure) -> BuildFailure:
    assert isinstance(result, BuildFailure)
    return result


def test_a_second_build_of_the_same_is_found(tmp_path: Path, build: Callable[..., BuiltKernel]) -> None:
    first, second = built(build()), built(build())
    assert (first.fresh, second.fresh) == (True, False)
    assert first.manifest == second.manifest
    assert first.library == second.library
    assert compilations(tmp_path) == 1


@pytest.mark.parametrize("change", [{"version": "2"}, {"cpu": "v3"}, {"defines": ("ROWS=6",)}])
def test_another_compiler_target_or_flag_is_another_build(
    tmp_path: Path, build: Callable[..., BuiltKernel], change: dict[str, str]
) -> None:
    assert built(build()).library != built(build(**change)).library
    assert compilations(tmp_path) == 2


def test_a_changed_source_is_another_build(build: Callable[..., BuiltKernel], sources: Path) -> None:
    first = built(build())
    (sources / "moe" / "layer.mojo").write_text("A")
    second = built(build())
    assert second.fresh
    assert first.manifest.sources_sha256 != second.manifest.sources_sha256


def test_the_manifest_tells_what_the_library_was_made_from(build: Callable[..., BuiltKernel]) -> None:
    manifest = built(build(defines=("ROWS=6",))).manifest
    assert manifest.compiler == "Mojo 1"
    assert manifest.target_cpu == "zen"
    assert manifest.features == ("avx2", "fma")
    assert manifest.flags == ("-D", "ROWS=6")
    assert manifest.library_sha256 == mojo_build._sha256("library\n")


def test_builders_at_once_compile_once(tmp_path: Path, build: Callable[..., BuiltKernel], sources: Path) -> None:
    build(effect="exit 1")  # leaves the compiler file, so that threads do not write it while others run it
    compiler = tmp_path / "mojo"
    compiler.write_text(COMPILER.format(version="1", cpu="zen", effect=f"sleep 0.2; {WRITE}", log=tmp_path / "log"))
    before = compilations(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        results = list(
            threads.map(
                lambda _: built(build_kernel(sources=sources, cache=tmp_path / "cache", compiler=compiler)), range(4)
            )
        )
    assert sum(result.fresh for result in results) == 1
    assert compilations(tmp_path) == before + 1


def test_a_missing_compiler_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mojo_build, "find_compiler", lambda: None)
    assert "make setup" in failed(build_kernel()).remedy


def test_a_failed_compilation_keeps_the_compilers_words_and_no_folder(
    tmp_path: Path, build: Callable[..., BuildFailure]
) -> None:
    failure = failed(build(effect="echo 'layer.mojo:1:1: error: no' >&2; exit 3"))
    assert "ended with code 3" in failure.reason
    assert "error: no" in str(failure)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_a_compiler_that_cannot_be_started_is_a_failure(tmp_path: Path, sources: Path) -> None:
    compiler = tmp_path / "mojo"
    compiler.write_text("no program")
    failure = failed(build_kernel(sources=sources, cache=tmp_path / "cache", compiler=compiler))
    assert os.strerror(13) in failure.output


def test_a_folder_without_sources_says_where_they_must_be(tmp_path: Path) -> None:
    assert str(tmp_path) in failed(build_kernel(sources=tmp_path, compiler=Path("/bin/true"))).reason
