"""Starts the worker: `python -I -S -B main.py CONTROL_FD AUDIT_FD PARENT_PID`.

-I and -S keep the user's and the site's start-up files out; the parent's first frame says what may be imported.
"""

import ctypes
import importlib.util
import os
import signal
import sys
from pathlib import Path

PACKAGE = "_moe_worker"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Serves requests until the parent closes the channel or dies."""
    control, audit, parent = (int(word) for word in sys.argv[1:])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # What a child leaves behind stays this process's child, and is found when this process is ended.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    # The parent may have died before the request above took hold.
    if os.getppid() != parent:
        os._exit(0)
    here = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(PACKAGE, here / "__init__.py", submodule_search_locations=[str(here)])
    assert spec is not None
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    importlib.import_module(f"{PACKAGE}.serve").serve(control, audit)
    # No interpreter shutdown: a candidate's threads and exit hooks have nothing left to say.
    os._exit(0)


if __name__ == "__main__":
    main()
