"""verdicts.json: the same verdicts always as the same bytes, written whole or not at all."""

from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from validation.evidence.atomic import write_atomically
from validation.usage import UsageError
from validation.verdicts.verdict import SCHEMA_VERSION, Verdicts


def dump(verdicts: Verdicts) -> bytes:
    """Returns the verdicts as JSON: fields in the order of the record, one a line. Equal verdicts give equal bytes."""
    return verdicts.model_dump_json(indent=1).encode() + b"\n"


def write(verdicts: Verdicts, path: Path) -> None:
    """Puts the verdicts at `path` atomically.

    Raises:
        UsageError: `path` cannot be written to.
    """
    write_atomically(path, dump(verdicts))


def load(path: Path) -> Verdicts:
    """Returns the verdicts at `path`.

    Raises:
        UsageError: there is no such file, or it is unreadable, truncated, of another schema version, or breaks a rule.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} must be a readable verdicts file; got: {error.strerror}. `moe-validation judge` writes one."
        ) from None
    return parse(data, str(path))


def parse(data: bytes, name: str) -> Verdicts:
    """Returns the verdicts in `data`; `name` is what an error calls it.

    Raises:
        UsageError: as `load`.
    """
    try:
        document = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise UsageError(f"{name} must be JSON, whole; got: {error}. Judge the evidence again.") from None
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{name}: schema_version must be {SCHEMA_VERSION}, the version this suite reads; got {version!r}. "
            "Judge the evidence again."
        )
    try:
        return Verdicts.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise UsageError(f"{name}: {where}: {first['msg']}. Judge the evidence again.") from None
