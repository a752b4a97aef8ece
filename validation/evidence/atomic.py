"""A file is whole or it is not there: a run that is killed while it writes loses nothing it had written before."""

import os
import tempfile
from pathlib import Path

from validation.usage import UsageError


def write_atomically(path: Path, data: bytes) -> None:
    """Puts `data` at `path`, whose folder is made; at no moment is there anything else than the old file or the new.

    Raises:
        UsageError: the folder cannot be made or written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UsageError(_cannot(path, error)) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise UsageError(_cannot(path, error)) from error
    finally:
        Path(name).unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """The new name, too, has to outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot(path: Path, error: OSError) -> str:
    return f"{path} must be writable; got: {error.strerror}. Choose another folder with --out or make room there."
