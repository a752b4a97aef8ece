"""Ctrl-C: one line, exit code 130, no process, no shared memory and no folder left, and evidence that loads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests import synthetic
from tests.implementations.kernels import forward_kernel
from tests.watching import alive, until
from validation.cli import main
from validation.evidence import atomic
from validation.evidence.record import Status
from validation.evidence.store import load
from validation.stages import run
from validation.stages.observe import Journal

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from rich.console import Console

    from validation.stages.plan import RunPlan

#: Where files are written.
WRITES: Final = atomic.__file__

#: As at a terminal, also where the tests' own parent ignores interrupts, as a shell's background jobs do.
PROGRAM: Final = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from validation.cli import main
main()
"""

#: Tells its process and that of a child, which would outlive it, and never returns.
HANGS: Final = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
with open(PIDS + ".new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(PIDS + ".new", PIDS)
time.sleep(600)
"""


@pytest.mark.parametrize("command", [("check",), ("run", "--profile", "smoke", "--workload", "seed-claim")])
def test_an_interrupt_leaves_nothing_and_is_told_in_a_line(command: tuple[str, ...], tmp_path: Path) -> None:
    pids, temporary, out = tmp_path / "pids", tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    kernel = forward_kernel(tmp_path, HANGS.replace("PIDS", repr(str(pids))))
    where = ("--out", str(out)) if command[0] == "run" else ()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command, "--kernel", f"{kernel.source}:prepare", *where],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as suite:
        assert until(pids.exists, 120.0)
        suite.send_signal(signal.SIGINT)
        _told, said = suite.communicate(timeout=60)
    assert suite.returncode == 130
    assert said.splitlines() == ["moe-validation: interrupted."]
    left = [int(pid) for pid in pids.read_text().split()]
    assert until(lambda: not any(map(alive, left)), 20.0)
    assert until(lambda: list(temporary.iterdir()) == [], 20.0)
    assert not out.exists() or list(out.iterdir()) == []


def test_an_interrupted_run_leaves_evidence_that_loads_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = synthetic.evidence().cases

    def observe(_plan: RunPlan, journal: Journal, _console: Console, *_: object) -> None:
        journal.add(cases=cases)
        raise KeyboardInterrupt

    kernel = forward_kernel(tmp_path, "out.zero_()")
    monkeypatch.setattr(run, "_observe", observe)
    command = ["run", "--kernel", f"{kernel.source}:prepare", "--workload", "seed-claim", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["moe-validation", *command])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(tmp_path / "evidence.json") in told
    assert "--resume" in told
    evidence = load(tmp_path / "evidence.json")
    assert (evidence.cases, evidence.status) == (cases, Status.PARTIAL)


class Interrupt:
    """Comes before the line of that number, counted over the lines that write files as they are run."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Interrupt | None:
        if frame.f_code.co_filename != WRITES:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


# A file that was opened and not yet entered is closed by the interpreter.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_evidence_is_whole_before_whichever_line_the_interrupt_comes(tmp_path: Path) -> None:
    path = tmp_path / "out" / "evidence.json"
    journal = Journal(evidence=synthetic.evidence(), path=path)
    journal.add(notes=())
    traced = sys.gettrace()
    for line in range(1, 1000):
        interrupt = Interrupt(line)
        try:
            sys.settrace(interrupt)
            journal.add(notes=(f"before line {line}",))
        except KeyboardInterrupt:
            assert load(path).notes in {(), *((f"before line {earlier}",) for earlier in range(1, line + 1))}
            assert [file.name for file in path.parent.iterdir()] == ["evidence.json"]
        finally:
            sys.settrace(traced)
        if interrupt.left > 0:
            break
    # Every line had its interrupt, and there are some.
    assert 10 < line < 999
