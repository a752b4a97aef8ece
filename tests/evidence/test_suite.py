"""The suite's commit is its own, and changed files are told."""

import shutil
import subprocess
from pathlib import Path

import pytest

from validation import __version__
from validation.evidence.suite import suite_info

GIT = shutil.which("git")
pytestmark = pytest.mark.skipif(GIT is None, reason="needs git")


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run([str(GIT), "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    _git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one")
    _git(tmp_path, "add", "file")
    _git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_a_clean_repository_has_its_commit(repository: Path) -> None:
    suite = suite_info(repository)
    assert suite.version == __version__
    assert len(suite.commit) == 40
    assert not suite.dirty


def test_a_changed_file_makes_it_dirty(repository: Path) -> None:
    (repository / "file").write_text("two")
    assert suite_info(repository).dirty


def test_a_package_inside_another_repository_does_not_take_its_commit(repository: Path) -> None:
    inside = repository / "site-packages"
    inside.mkdir()
    assert suite_info(inside).commit == "unknown"


def test_no_repository_is_unknown(tmp_path: Path) -> None:
    assert suite_info(tmp_path).commit == "unknown"
