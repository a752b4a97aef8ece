"""Outlives the parent for a moment: ends what its workers left, and removes the folder of their temporary files.

`python -I -S reaper.py FOLDER VARIABLE=MARK`. Standard input is a pipe whose other end is the parent's alone: it closes
when the parent is gone, however it went; a SIGKILL leaves it no other last word. Imports nothing of ours.
"""

import os
import shutil
import signal
import sys
import time

#: A process that was just started may not show its environment yet: so often nothing must be found, so far apart.
_EMPTY_LOOKS = 3
_PAUSE_S = 0.02


def main() -> None:
    """Waits for the parent's end, then leaves nothing."""
    folder, mark = sys.argv[1], sys.argv[2].encode()
    while os.read(0, 1):
        pass
    empty = 0
    while empty < _EMPTY_LOOKS:
        left = _marked(mark)
        empty = 0 if left else empty + 1
        for pid in left:
            _kill(pid)
        time.sleep(_PAUSE_S)
    shutil.rmtree(folder, ignore_errors=True)


def _marked(mark: bytes) -> list[int]:
    """Processes with a variable in their environment that begins with the mark."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 -- pathlib takes as long to import as all the rest
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as environment:  # noqa: PTH123 -- as above
                    if any(variable.startswith(mark) for variable in environment.read().split(b"\0")):
                        found.append(int(name))
            except OSError:
                continue
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return


if __name__ == "__main__":
    main()
