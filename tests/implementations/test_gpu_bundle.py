"""A bundle that was changed, cut short or brought to the wrong GPU is refused with the reason."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from validation.implementations import gpu_bundle
from validation.implementations.gpu_bundle import build_bundle, usable_bundle
from validation.implementations.mojo_gpu.bundle import EXTENSION, MANIFEST, RUNTIME, Manifest, file_sha256
from validation.usage import UsageError

_H200 = {"capability": "9.0", "driver": "580.159.04"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in (EXTENSION, *RUNTIME):
        (folder / name).write_bytes(name.encode())
    manifest = Manifest(
        target="sm_90a",
        compiler="Mojo 1.2.0",
        commit="unknown",
        sources_sha256="",
        oldest_driver=580,
        files={name: file_sha256(folder / name) for name in (EXTENSION, *RUNTIME)},
    )
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest)))
    return folder


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for `mojo` with MAX beside it, which writes what it was asked for."""
    mojo = tmp_path / "venv" / "bin" / "mojo"
    runtime = tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "modular" / "lib"
    for folder in (mojo.parent, runtime / "mojo"):
        folder.mkdir(parents=True)
    (runtime / "mojo" / "layout.mojoc").touch()
    for name in RUNTIME:
        (runtime / name).write_text(name)
    mojo.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Mojo 9" && exit\nfor last; do :; done\necho so > "$last"\n'
    )
    mojo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{mojo.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return mojo


def test_a_whole_bundle_is_accepted(bundle: Path) -> None:
    assert usable_bundle(bundle, **_H200)[1].target == "sm_90a"


def test_the_variable_names_the_bundle_where_no_option_does(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpu_bundle.VARIABLE, str(bundle))
    assert usable_bundle(None, **_H200)[0] == bundle.resolve()


def test_no_bundle_named_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(gpu_bundle.VARIABLE, raising=False)
    with pytest.raises(UsageError, match="Pass --bundle DIR"):
        usable_bundle(None, **_H200)


def test_a_changed_extension_is_named(bundle: Path) -> None:
    (bundle / EXTENSION).write_bytes(b"something else")
    with pytest.raises(UsageError, match=r"moe_gpu\.so must have SHA-256"):
        usable_bundle(bundle, **_H200)


def test_a_missing_library_is_named(bundle: Path) -> None:
    (bundle / RUNTIME[0]).unlink()
    with pytest.raises(UsageError, match=RUNTIME[0]):
        usable_bundle(bundle, **_H200)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds manifest\.json"):
        usable_bundle(tmp_path, **_H200)


def test_a_manifest_cut_short_is_refused(bundle: Path) -> None:
    (bundle / MANIFEST).write_text((bundle / MANIFEST).read_text()[:50])
    with pytest.raises(UsageError, match="must be a bundle's manifest"):
        usable_bundle(bundle, **_H200)


def test_a_manifest_that_does_not_list_the_extension_is_refused(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    del manifest["files"][EXTENSION]
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match=r"must list moe_gpu\.so"):
        usable_bundle(bundle, **_H200)


def test_a_gpu_of_another_architecture_is_refused(bundle: Path) -> None:
    with pytest.raises(UsageError, match="this GPU is sm_80"):
        usable_bundle(bundle, capability="8.0", driver="580.159.04")


def test_an_old_driver_is_refused(bundle: Path) -> None:
    with pytest.raises(UsageError, match="driver 580 or newer"):
        usable_bundle(bundle, capability="9.0", driver="535.54.03")


def test_another_target_is_refused_before_anything_is_compiled(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--target must be sm_90a"):
        build_bundle(tmp_path / "out", commit="", target="sm_80")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="holds something else"):
        build_bundle(tmp_path, commit="")
    assert (tmp_path / "thesis.tex").exists()


def test_a_compiler_without_max_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UsageError, match=r"no mojo at all.*make setup"):
        build_bundle(tmp_path / "out", commit="")


@pytest.mark.usefixtures("compiler")
def test_what_is_built_is_a_bundle_that_verifies(tmp_path: Path) -> None:
    made = build_bundle(tmp_path / "out", commit="abc")
    assert usable_bundle(tmp_path / "out", **_H200)[1] == made
    assert (made.commit, made.compiler) == ("abc", "Mojo 9")


@pytest.mark.usefixtures("compiler")
def test_an_old_bundle_is_replaced(bundle: Path) -> None:
    (bundle / EXTENSION).write_bytes(b"altered")
    build_bundle(bundle, commit="")
    usable_bundle(bundle, **_H200)


def test_a_compile_that_fails_leaves_nothing_and_says_what_the_compiler_said(tmp_path: Path, compiler: Path) -> None:
    compiler.write_text("#!/bin/sh\necho 'no such type: Tile' >&2\nexit 1\n")
    with pytest.raises(UsageError, match="no such type: Tile"):
        build_bundle(tmp_path / "out", commit="")
    assert not (tmp_path / "out").exists()


def test_without_a_gpu_the_kernel_says_what_it_needs() -> None:
    from types import SimpleNamespace  # noqa: PLC0415 -- one test's

    import torch  # noqa: PLC0415 -- as above

    from validation.implementations.mojo_gpu import prepare  # noqa: PLC0415 -- as above

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="needs a CUDA GPU"):
        prepare(SimpleNamespace())
