"""A file is whole or it is not there: a run that is killed while it writes loses nothing it had written before."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from validation.usage import UsageError


def write_atomically(path: Path, data: bytes) -> None:
    """Puts `data` at `path`, whose folder is made; at no moment is there anything else than the old file or the new.

    Raises:
        UsageError: the folder cannot be made or written to, or the disk is full.
    """
    # Named before it is there: an interrupt at any moment leaves nothing behind.
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.chmod(0o644)
        scratch.replace(path)
    except OSError as error:
        raise UsageError(_cannot(path, error)) from error
    finally:
        # Where the folder cannot be made there is nothing to remove.
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
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
