"""A file of the suite's or of a reference's package that is another than it was is told of."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from validation.implementations.files import AS_THEY_WERE, Files


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    folder = tmp_path / "package" / "deep"
    folder.mkdir(parents=True)
    for name in ("a.py", "b.py"):
        (folder / name).write_text("answers = 1")
    return folder


def written_in_its_old_time(file: Path) -> None:
    seen = file.stat()
    file.write_text("answers = 2")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))


@pytest.mark.parametrize("change", [written_in_its_old_time, Path.unlink, lambda file: file.rename(file.parent / "c")])
def test_a_change_of_ours_is_seen(deep: Path, change: Callable[[Path], object]) -> None:
    files = Files((deep.parent,), ())
    assert files.changed() == AS_THEY_WERE
    change(deep / "b.py")
    assert files.changed() == f"{deep / 'b.py'} was written, made or removed"


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_text("answers = 2"), Path.touch])
def test_a_change_of_a_package_is_seen(deep: Path, change: Callable[[Path], object]) -> None:
    files = Files((), (deep.parent,))
    assert files.changed() == AS_THEY_WERE
    change(deep / "b.py")
    assert files.changed() == f"{deep / 'b.py'} was written, made or removed"


def test_a_link_or_another_owner_changes_no_file(deep: Path, tmp_path: Path) -> None:
    files = Files((deep,), (deep,))
    os.link(deep / "a.py", tmp_path / "a.py")
    (deep / "b.py").chmod(0o600)
    assert files.changed() == AS_THEY_WERE


def test_a_file_that_is_new_is_seen_and_what_python_caches_is_not(tmp_path: Path) -> None:
    files = Files((tmp_path, tmp_path / "none"), ())
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"")
    assert files.changed() == AS_THEY_WERE
    (tmp_path / "new.py").write_text("")
    assert "new.py" in files.changed()


def test_the_suites_and_its_references_packages_are_looked_at() -> None:
    seen = Files()._before
    for name in ("validation/verdicts/judge.py", "reference/oracle.py", "numpy/__init__.py", "torch/__init__.py"):
        assert any(path.endswith(name) for path in seen)
