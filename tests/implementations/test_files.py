"""A file that was written is told of, whatever its times say."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from validation.implementations.files import AS_THEY_WERE, Files


def written_and_put_back(file: Path) -> None:
    before, seen = file.read_bytes(), file.stat()
    file.write_bytes(b"other")
    file.write_bytes(before)
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def replaced(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    other.replace(file)


@pytest.mark.parametrize("change", [written_and_put_back, replaced, Path.unlink, lambda file: file.chmod(0o600)])
def test_a_change_is_seen(tmp_path: Path, change: Callable[[Path], None]) -> None:
    deep = tmp_path / "package" / "deep"
    deep.mkdir(parents=True)
    for name in ("a.py", "b.py"):
        (deep / name).write_text("answers = 1")
    files = Files((tmp_path,))
    assert files.changed() == AS_THEY_WERE
    change(deep / "b.py")
    assert files.changed() == f"{deep / 'b.py'} was written, made or removed"


def test_a_file_that_is_new_is_seen_and_what_python_caches_is_not(tmp_path: Path) -> None:
    files = Files((tmp_path, tmp_path / "none"))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"")
    assert files.changed() == AS_THEY_WERE
    (tmp_path / "new.py").write_text("")
    assert "new.py" in files.changed()


def test_the_suites_and_its_references_packages_are_looked_at() -> None:
    seen = Files()._before
    for name in ("validation/verdicts/judge.py", "reference/oracle.py", "numpy/__init__.py", "torch/__init__.py"):
        assert any(path.endswith(name) for path in seen)
