"""pixi.toml, as far as it can be proven without pixi: its schema, and that its commands are the Makefile's."""

import copy
import importlib.resources
import json
import os
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import fastjsonschema
import pytest
import typer

from validation.cli import app

ROOT: Final = Path(__file__).parents[2]
PIXI: Final[dict[str, Any]] = tomllib.loads((ROOT / "pixi.toml").read_text())
SCHEMA: Final[dict[str, Any]] = json.loads(
    (importlib.resources.files("validate_pyproject_schema_store") / "resources" / "pixi.schema.json").read_text()
)
PLATFORMS: Final = {"linux-64", "linux-aarch64", "osx-arm64"}
#: The task, and the target of the Makefile that does the same.
SAME: Final = {
    "setup": "doctor",
    "build": "build",
    "validate-submission": "validate",
    "demo": "demo",
    "benchmark-official": "benchmark",
    "report": "report",
    "test": "test",
    "lint": "lint",
}


def faults(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with a manifest; the schema leaves the root and the names of tasks open, so we look at them."""
    found = [f"unknown table {name}" for name in manifest.keys() - SCHEMA["properties"].keys()]
    if "workspace" not in manifest:
        found.append("no [workspace]")
    for platform in manifest.get("workspace", {}).get("platforms", []):
        name = platform["platform"] if isinstance(platform, dict) else platform
        if name not in PLATFORMS:
            found.append(f"unknown platform {name}")
    tasks = manifest.get("tasks", {})
    found += [f"task name with a space: {name}" for name in tasks if " " in name]
    for name, task in tasks.items():
        needed = task.get("depends-on", []) if isinstance(task, dict) else []
        found += [f"{name} depends on no task: {other}" for other in needed if other not in tasks]
    try:
        fastjsonschema.compile(SCHEMA, use_formats=False)(copy.deepcopy(manifest))
    except fastjsonschema.JsonSchemaValueException as error:
        found.append(error.message)
    return found


def commands(task: str) -> list[list[str]]:
    """The command lines a task runs, those it depends on first."""
    definition = PIXI["tasks"][task]
    if isinstance(definition, str):
        return [shlex.split(definition)]
    before = [line for other in definition.get("depends-on", []) for line in commands(other)]
    return [*before, *([shlex.split(definition["cmd"])] if "cmd" in definition else [])]


def make_commands(target: str) -> list[list[str]]:
    """The command lines `make` would run for a target, without those of the set-up and without the path of the venv."""
    make = shutil.which("make")
    assert make is not None
    # Under `make test` the outer make's flags would reach the inner one.
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}
    command = [make, "-n", "-C", str(ROOT), target]
    listing = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    ours = [line for line in listing.splitlines() if line.startswith((".venv/bin/", ".ci/"))]
    lines = [shlex.split(line.removeprefix(".venv/bin/")) for line in ours]
    return [line for line in lines if line[:3] != ["python", "-m", "pip"]]


def test_the_manifest_is_sound() -> None:
    assert faults(PIXI) == []


@pytest.mark.parametrize(
    ("table", "value", "fault"),
    [
        ("worksapce", {}, "unknown table worksapce"),
        ("workspace", {"name": "x", "channels": [], "platforms": ["linux64"]}, "unknown platform linux64"),
        ("workspace", {"name": "x", "channels": 7, "platforms": []}, "channels"),
        ("tasks", {"two words": "pytest"}, "task name with a space: two words"),
        ("tasks", {"lint": {"depends-on": ["lnit"]}}, "lint depends on no task: lnit"),
    ],
)
def test_a_planted_mistake_is_found(table: str, value: object, fault: str) -> None:
    assert any(fault in found for found in faults(PIXI | {table: value}))


def test_a_manifest_without_a_workspace_is_found() -> None:
    assert "no [workspace]" in faults({name: value for name, value in PIXI.items() if name != "workspace"})


@pytest.mark.parametrize(("task", "target"), SAME.items())
def test_a_task_runs_what_make_runs(task: str, target: str) -> None:
    assert commands(task) == make_commands(target)


def test_every_task_has_its_twin() -> None:
    assert {name for name in PIXI["tasks"] if not name.startswith("lint-")} == set(SAME)


def _parse(arguments: list[str]) -> None:
    """Parses a command line as `moe-validation` would, without running it."""
    group = typer.main.get_command(app)
    context = group.make_context("moe-validation", list(arguments), resilient_parsing=False)
    name, *rest = arguments
    command = group.get_command(context, name)  # type: ignore[attr-defined]
    assert command is not None, f"no command {name}"
    command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("task", PIXI["tasks"])
def test_every_call_of_ours_is_understood_by_the_command_line(task: str) -> None:
    for program, *arguments in commands(task):
        if program == "moe-validation":
            _parse(arguments)


def test_an_option_that_is_not_there_would_be_found() -> None:
    with pytest.raises(Exception, match="--outt"):
        _parse(["run", "--outt", "build"])


def test_no_command_is_cached_but_the_build() -> None:
    cached = {name for name, task in PIXI["tasks"].items() if isinstance(task, dict) and "outputs" in task}
    assert cached == {"build"}


def test_the_extras_are_those_the_makefile_installs() -> None:
    extras = PIXI["pypi-dependencies"]["moe-validation"]["extras"]
    assert f"EXTRAS := {','.join(extras)}\n" in (ROOT / "Makefile").read_text()
