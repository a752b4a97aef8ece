"""evidence.json: written whole or not at all, read with every rule of the record enforced."""

import gzip
import hashlib
import json
import zlib
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import from_json

from validation.evidence.atomic import write_atomically
from validation.evidence.record import SCHEMA_VERSION, Evidence
from validation.usage import UsageError

#: A full run holds some 200,000 samples in 3 MB; twenty times that is no evidence of ours.
MAX_BYTES: Final = 64 << 20
#: So many broken fields are shown; the first is usually the cause of the rest.
_SHOWN: Final = 3
_VALUE_LENGTH: Final = 60


def dump(evidence: Evidence) -> bytes:
    """Returns the evidence as JSON, one line for each field and each member of a list, so that two runs can be diffed.

    Equal evidence gives equal bytes.
    """
    fields = (f"{json.dumps(name)}: {_value(getattr(evidence, name))}" for name in type(evidence).model_fields)
    return ("{\n" + ",\n".join(fields) + "\n}\n").encode()


def write(evidence: Evidence, path: Path) -> None:
    """Puts the evidence at `path` atomically.

    Raises:
        ValidationError: the evidence breaks a rule of its own record, so that `load` would refuse it. This is a fault
            of ours; the file at `path` stays as it was.
        UsageError: `path` cannot be written to.
    """
    data = dump(evidence)
    Evidence.model_validate_json(data, strict=True)
    write_atomically(path, data)


def load(path: Path) -> Evidence:
    """Returns the evidence at `path`.

    Raises:
        UsageError: there is no such file, or it is unreadable, too large, truncated, no JSON, of another schema
            version, or breaks a rule; the message names the field, the rule and the value.
    """
    return parse(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """Returns the bytes of an evidence file; those of one that ends in `.gz` as they were before it was compressed.

    Raises:
        UsageError: there is no such file, or it is unreadable or too large.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UsageError(f"{path} must hold at most {MAX_BYTES >> 20} MiB; it holds {size >> 20} MiB.")
        return path.read_bytes() if path.suffix != ".gz" else _unzipped(path)
    except OSError as error:
        raise UsageError(
            f"{path} must be a readable evidence file; got: {error.strerror}. `moe-validation run` writes one."
        ) from error


def _unzipped(path: Path) -> bytes:
    """The bytes of a compressed file, never more than evidence may hold: a few KiB can unfold to any size."""
    try:
        with gzip.open(path) as file:
            data = file.read(MAX_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"{path} must be a whole gzip file; got: {error}. Take an unchanged copy.") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} must unfold to at most {MAX_BYTES >> 20} MiB; it holds more.")
    return data


def parse(data: bytes, name: str) -> Evidence:
    """Returns the evidence in `data`; `name` is what an error calls it.

    Raises:
        UsageError: as `load`.
    """
    try:
        document = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise UsageError(
            f"{name} must be whole JSON; got {len(data)} bytes: {error}. "
            "Take an unchanged copy, or repeat the run that wrote it."
        ) from error
    if not isinstance(document, dict):
        raise UsageError(f"{name} must hold a JSON object, the evidence of a run; got {type(document).__name__}.")
    version = document.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise UsageError(
            f"{name} must have schema_version {SCHEMA_VERSION}; got {_shortened(version)}. "
            "Judge it with the version of moe-validation that wrote it (suite.version)."
        )
    try:
        return Evidence.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise UsageError(f"{name} is no valid evidence: {_broken_rules(error)}") from error


def sha256(data: bytes) -> str:
    """Returns the hex digest by which reports and verdicts name an evidence file."""
    return hashlib.sha256(data).hexdigest()


def _value(value: object) -> str:
    if isinstance(value, tuple) and value:
        return "[\n  " + ",\n  ".join(_line(member) for member in value) + "\n]"
    return _line(value)


def _line(value: object) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: object) -> object:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _broken_rules(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False)
    shown = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'the document'}: {problem['msg']}, "
        f"got {_shortened(problem['input'])}"
        for problem in problems[:_SHOWN]
    )
    more = len(problems) - _SHOWN
    return f"{shown}; and {more} more." if more > 0 else f"{shown}."


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}..."
