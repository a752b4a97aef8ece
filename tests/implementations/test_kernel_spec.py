from pathlib import Path

import pytest

from validation.implementations.kernel_spec import parse_kernel
from validation.usage import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fast_moe.py"
    path.write_text("def prepare(layer): ...")
    return path


def test_a_file_alone_means_its_prepare(file: Path) -> None:
    implementation = parse_kernel(str(file))
    assert (implementation.name, implementation.source, implementation.function) == ("fast_moe", file, "prepare")


def test_the_function_follows_the_colon(file: Path) -> None:
    assert parse_kernel(f"{file}:build").function == "build"


def test_a_kernel_from_outside_is_not_trusted(file: Path) -> None:
    assert not parse_kernel(str(file)).trusted


def test_a_colon_in_a_folder_belongs_to_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    (folder / "kernel.py").touch()
    assert parse_kernel(str(folder / "kernel.py")).source == folder / "kernel.py"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nowhere.py", "there is no file 'nowhere.py'"),
        ("nowhere.py:prepare", "there is no file 'nowhere.py'"),
        ("{folder}", "a kernel is a Python file"),
        ("{file}:", "'', after the colon, is no function's name"),
        ("{file}:3x", "'3x', after the colon, is no function's name"),
    ],
)
def test_what_names_no_kernel_is_the_users_mistake(file: Path, spec: str, said: str) -> None:
    with pytest.raises(UsageError, match="kernel") as caught:
        parse_kernel(spec.format(file=file, folder=file.parent))
    assert said in str(caught.value)
