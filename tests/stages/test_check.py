"""`check` ends with 1 and names the check that a wrong kernel failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FAULTS = Path(__file__).parents[2] / "planted" / "faults"


def test_a_wrong_kernel_ends_with_1_and_the_name_of_what_it_failed() -> None:
    kernel = f"{FAULTS / 'zeros.py'}:prepare"
    command = [sys.executable, "-m", "validation", "check", "--profile", "smoke", "--kernel", kernel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "\n  random:40x64x96-E8-k2-float32: elementwise, " in done.stdout.partition("is rejected:")[2], done.stdout
