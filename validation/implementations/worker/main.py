"""Starts a worker, or the process that forks them.

`python -I -S -B main.py worker CONTROL_FD AUDIT_FD PARENT_PID` or `python -I -S -B main.py fork_server CONTROL_FD`.
-I and -S keep the user's and the site's start-up files out; the parent's first frame says what may be imported.
"""

import importlib.util
import sys
from pathlib import Path

PACKAGE = "_moe_worker"


def main() -> None:
    """Loads this package by path and does what the first argument names."""
    role, *descriptors = sys.argv[1:]
    here = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(PACKAGE, here / "__init__.py", submodule_search_locations=[str(here)])
    assert spec is not None
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    numbers = [int(word) for word in descriptors]
    if role == "fork_server":
        importlib.import_module(f"{PACKAGE}.fork_server").run(*numbers)
    else:
        importlib.import_module(f"{PACKAGE}.lifetime").live(*numbers)


if __name__ == "__main__":
    main()
