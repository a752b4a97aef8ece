"""A kernel as it is named on the command line: FILE.py, FILE.py:prepare, or FOLDER/__init__.py."""

import hashlib
from pathlib import Path

from validation.implementations.implementation import Implementation
from validation.implementations.worker.kernel import name_of
from validation.usage import UsageError


def parse_kernel(spec: str, *, device: str = "cpu", graph: bool = False) -> Implementation:
    """Returns the implementation that `spec` names, to be run on `device`; its function defaults to `prepare`.

    With `graph` its calls are timed in CUDA graphs.

    Whether the file defines such a function is found out in the worker: nothing of a kernel runs in this process.

    Raises:
        UsageError: the file does not exist or is no Python file, or the function is no name.
    """
    path, function = _split(spec)
    source = Path(path)
    if not source.exists():
        raise UsageError(f"a kernel is named FILE.py:prepare; there is no file {path!r} (from {Path.cwd()})")
    if not source.is_file() or source.suffix != ".py":
        raise UsageError(f"a kernel is a Python file, FILE.py:prepare; {path!r} is none")
    if not function.isidentifier():
        raise UsageError(f"a kernel is named FILE.py:prepare; {function!r}, after the colon, is no function's name")
    return Implementation(
        name=name_of(source),
        source=source.resolve(),
        function=function,
        family="yours",
        description=f"{function} of {path}",
        dtypes=frozenset({"float32", "bfloat16", "float16"}),
        devices=frozenset({device}),
        graph=graph,
        sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
    )


def _split(spec: str) -> tuple[str, str]:
    """Path and function; a colon belongs to the path when what follows it is a path too."""
    path, colon, function = spec.rpartition(":")
    if not colon or "/" in function or function.endswith(".py"):
        return spec, "prepare"
    return path, function
