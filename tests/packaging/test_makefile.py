"""The Makefile mends what is missing, or says how, and starts at once the second time."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from validation.stages.doctor import PDF_LIBRARIES, TEST_TOOLS

ROOT: Final = Path(__file__).parents[2]
MAKE: Final = shutil.which("make") or "make"
#: Under `make test` the outer make's flags would reach the inner one.
ENVIRONMENT: Final = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}
SHELL_TOOLS: Final = ("bash", "sh", "sed", "cat", "sha256sum", "cut", "mkdir", "tail", "python3", "touch", "rm")


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder that is all of the PATH: the shell's tools, and a dpkg-query that knows no package."""
    for tool in SHELL_TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    _program(tmp_path / "dpkg-query", "exit 1")
    return tmp_path


def _system(machine: Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [MAKE, "--no-print-directory", "-f", str(ROOT / "Makefile"), "-C", str(folder), "system"]
    environment = ENVIRONMENT | {"PATH": str(machine)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_user_who_is_not_root_is_given_the_exact_line(machine: Path) -> None:
    _program(machine / "id", "echo 1000")
    outcome = _system(machine)
    assert outcome.returncode == 0
    assert re.search(r"missing: .*qpdf", outcome.stdout)
    assert re.search(
        r"^    sudo apt-get install -y --no-install-recommends .*libpango-1\.0-0.*$", outcome.stdout, re.MULTILINE
    )


def test_root_has_the_packages_installed(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("clone")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    _program(machine / "id", "echo 0")
    _program(machine / "apt-get", f'echo "$@" >>{machine}/called')
    outcome = _system(machine, folder)
    called = (machine / "called").read_text().splitlines()
    assert called[0].startswith("update")
    assert called[1].startswith("install -y")
    assert "sudo" not in outcome.stdout


def test_an_installation_that_fails_is_quoted_and_the_line_given(
    machine: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("clone")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    _program(machine / "id", "echo 0")
    _program(machine / "apt-get", "echo no network; exit 100")
    outcome = _system(machine, folder)
    assert "no network" in outcome.stdout
    assert "    sudo apt-get install" in outcome.stdout


def test_a_complete_machine_hears_nothing(machine: Path) -> None:
    _program(machine / "dpkg-query", "printf installed")
    assert _system(machine).stdout == ""


def test_a_system_without_dpkg_is_left_alone(machine: Path) -> None:
    (machine / "dpkg-query").unlink()
    assert _system(machine).stdout == ""


def test_the_doctor_and_the_makefile_ask_for_the_same_packages() -> None:
    listed = re.search(r"^DEBIAN := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed is not None
    assert {*PDF_LIBRARIES.values(), *TEST_TOOLS.values(), "gcc", "g++"} <= set(listed[1].split())


def _stamp(folder: Path) -> str:
    shutil.copy(ROOT / "Makefile", folder)
    command = [MAKE, "-C", str(folder), "-pn", "help"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT).stdout
    found = re.search(r"^STAMP := (.*)$", listing, re.MULTILINE)
    assert found is not None
    return found[1]


def test_another_dependency_makes_another_environment_and_another_setting_does_not(tmp_path: Path) -> None:
    project, constraints = (ROOT / name for name in ("pyproject.toml", "constraints.txt"))
    for path in (project, constraints):
        shutil.copy(path, tmp_path)
    before = _stamp(tmp_path)
    (tmp_path / "pyproject.toml").write_text(project.read_text() + "\n# a tool's setting\n")
    assert _stamp(tmp_path) == before
    (tmp_path / "pyproject.toml").write_text(project.read_text().replace('"rich"', '"rich", "another"'))
    assert _stamp(tmp_path) != before
    shutil.copy(project, tmp_path)
    (tmp_path / "constraints.txt").write_text(constraints.read_text() + "another==1\n")
    assert _stamp(tmp_path) != before


def test_every_target_is_listed_with_what_it_does() -> None:
    listing = subprocess.run(
        [MAKE, "-C", str(ROOT), "help"], capture_output=True, text=True, check=True, env=ENVIRONMENT
    ).stdout
    for target in ("setup", "validate", "test", "lint", "report", "demo", "bench", "lock", "clean", "help"):
        assert re.search(rf"^{target} +\S", listing, re.MULTILINE)


def test_lint_fails_on_a_mojo_file_that_is_not_formatted_and_leaves_it_alone(tmp_path: Path) -> None:
    if not (ROOT / ".venv" / "bin" / "mojo").exists():
        pytest.skip("mojo is not installed in .venv")
    git = shutil.which("git")
    assert git is not None
    subprocess.run([git, "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "mojo-format", tmp_path / ".ci")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    source = tmp_path / "ugly.mojo"
    source.write_text("def  main( ):\n  print( 1 )\n")
    command = [str(tmp_path / ".ci" / "mojo-format")]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 1
    assert "-def  main( ):" in outcome.stdout
    assert source.read_text() == "def  main( ):\n  print( 1 )\n"
    subprocess.run([*command, "--write"], check=True)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
