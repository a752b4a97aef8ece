"""`python -m tests.memcheck`: the kernel under valgrind's memcheck, on small shapes of every dtype and option.

Valgrind knows AVX2 and no AVX-512, so the kernel is built for x86-64-v3: the same sources, narrower vectors. It is
also shown to see a kernel that was told of one token too many. Takes two minutes.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from validation.implementations.mojo_build import BuildFailure, build_kernel

_CALLS: Final = Path(__file__).with_name("calls.py")
_LIMIT_S: Final = 3600
_SHOWN: Final = 2000


def complaints(library: Path, *words: str) -> tuple[list[str], str]:
    """Returns what memcheck says of the kernel, a block of lines each, and how the calls ended."""
    command = [
        "valgrind",
        "--num-callers=20",
        "--error-limit=no",
        sys.executable,
        "-I",
        "-S",
        str(_CALLS),
    ]
    # Every allocation of Python's by malloc, or memcheck would not know of it.
    environment = {**os.environ, "PYTHONMALLOC": "malloc"}
    told = subprocess.run(
        [*command, str(library), *words], capture_output=True, text=True, env=environment, timeout=_LIMIT_S, check=False
    )
    lines = [re.sub(r"^==\d+== ?", "", line) for line in told.stderr.splitlines() if line.startswith("==")]
    blocks = "\n".join(lines).split("\n\n")
    ended = f"{told.stdout}\nexit code {told.returncode}\n{told.stderr[:_SHOWN]}"
    return [block for block in blocks if "moe_kernel" in block and " at 0x" in block], ended


def main() -> int:
    """Prints what was found; 1 when memcheck complains, or does not where it must."""
    if shutil.which("valgrind") is None:
        sys.stdout.write("valgrind is missing. Run: apt-get install valgrind\n")
        return 2
    built = build_kernel(target_cpu="x86-64-v3")
    if isinstance(built, BuildFailure):
        sys.stdout.write(f"{built}\n")
        return 2
    found, said = complaints(built.library)
    made = re.search(r"calls (\d+)", said)
    if made is None:
        sys.stdout.write(f"the calls must end by themselves; they ended so:\n{said}\n")
        return 1
    # What this one spoils may end valgrind itself; by then it has complained.
    planted, _ended = complaints(built.library, "beyond")
    if not planted:
        sys.stdout.write("memcheck must see a kernel that was told of one token too many; it saw nothing.\n")
        return 1
    for block in found:
        sys.stdout.write(f"{block}\n\n")
    sys.stdout.write(
        f"memcheck: {len(found)} complaints about the kernel in {made[1]} calls (x86-64-v3, 2 threads); "
        f"{len(planted)} where it was told of one token too many.\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
