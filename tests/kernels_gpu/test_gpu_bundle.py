"""A bundle that was changed, cut short or brought to the wrong GPU is refused with the reason."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from validation.implementations.gpu_bundle import (
    EXTENSION,
    MANIFEST,
    RUNTIME,
    Manifest,
    build_bundle,
    require_fit,
    sha256,
    verify_bundle,
)
from validation.usage import UsageError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    for name in (EXTENSION, *RUNTIME):
        (tmp_path / name).write_bytes(name.encode())
    files = {name: sha256(tmp_path / name) for name in (EXTENSION, *RUNTIME)}
    manifest = Manifest(target="sm_90a", compiler="Mojo 1.2.0", oldest_driver=580, files=files)
    (tmp_path / MANIFEST).write_text(json.dumps(asdict(manifest)))
    return tmp_path


def test_a_whole_bundle_is_accepted(bundle: Path) -> None:
    assert verify_bundle(bundle).target == "sm_90a"


def test_a_changed_extension_is_named(bundle: Path) -> None:
    (bundle / EXTENSION).write_bytes(b"something else")
    with pytest.raises(UsageError, match=r"moe_gpu\.so must have SHA-256"):
        verify_bundle(bundle)


def test_a_missing_library_is_named(bundle: Path) -> None:
    (bundle / RUNTIME[0]).unlink()
    with pytest.raises(UsageError, match=RUNTIME[0]):
        verify_bundle(bundle)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds manifest\.json"):
        verify_bundle(tmp_path)


def test_a_manifest_that_does_not_list_the_extension_is_refused(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    del manifest["files"][EXTENSION]
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match=r"must list moe_gpu\.so"):
        verify_bundle(bundle)


def test_a_gpu_of_another_architecture_is_refused(bundle: Path) -> None:
    with pytest.raises(UsageError, match="this GPU is sm_80"):
        require_fit(verify_bundle(bundle), capability=(8, 0), driver="580.159.04")


def test_an_old_driver_is_refused(bundle: Path) -> None:
    with pytest.raises(UsageError, match="driver 580 or newer"):
        require_fit(verify_bundle(bundle), capability=(9, 0), driver="535.54.03")


def test_a_hopper_gpu_with_its_driver_fits(bundle: Path) -> None:
    require_fit(verify_bundle(bundle), capability=(9, 0), driver="580.159.04")


def test_another_target_is_refused_before_anything_is_compiled(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--target was sm_80"):
        build_bundle(tmp_path, tmp_path, mojo=tmp_path / "mojo", target="sm_80")
