"""A kernel narrows the suite's own process to one core: the gate says so, and the suite has its cores back.

Where the suite is root, with capabilities that its workers give up, Linux refuses this. So it is shown by a suite that
has given them up itself, and has what any other user has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from validation.correctness.planted_cheats import FOLDER

NARROWS: Final = """
import os
from pathlib import Path
from honest_layer import forward_of

def prepare(layer):
    status = Path(f"/proc/{os.getppid()}/status").read_text()
    suite = int(status.split("PPid:")[1].split()[0])
    os.sched_setaffinity(suite, {min(os.sched_getaffinity(suite))})
    return forward_of(layer)
"""

PROGRAM: Final = """
import json, os, sys
from validation.correctness.integrity.script import observe
from validation.correctness.integrity.settings import settings_unchanged
from validation.implementations.kernel_spec import parse_kernel
from validation.implementations.worker.lifetime import CAP_SYS_NICE, CAP_SYS_PTRACE, _give_up
from validation.workloads.shape import parse_shape

_give_up(CAP_SYS_PTRACE, CAP_SYS_NICE)
seen = observe(parse_kernel(sys.argv[1]), parse_shape("32x16x16-E2-k1-float32"), threads=1)
gate = settings_unchanged(seen)
print(json.dumps([gate.outcome, gate.message, seen.ended, sorted(os.sched_getaffinity(0))]))
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one core cannot be made fewer")
def test_a_kernel_that_narrows_the_suite_is_told_and_the_suite_has_its_cores_back(tmp_path: Path) -> None:
    (tmp_path / "honest_layer.py").write_text((FOLDER / "honest_layer.py").read_text())
    (tmp_path / "narrows.py").write_text(NARROWS)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "narrows.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd())
    outcome, message, ended, cores = json.loads(done.stdout)
    before = sorted(os.sched_getaffinity(0))
    assert ended == ""
    assert (outcome, message) == ("failed", f"the suite's cpu affinity: {before} became {before[:1]}")
    assert cores == before
