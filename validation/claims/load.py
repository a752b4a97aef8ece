"""Claims files: TOML in, validated claims out, and for every mistake a message that says what to do."""

import hashlib
import tomllib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from validation.claims.claim import Claim, Reading
from validation.claims.published import Number, Product, Shape
from validation.record import Record
from validation.usage import UsageError, unknown_name

#: 1: first version.
SCHEMA_VERSION: Final = 1

SEED_CLAIMS: Final = Path(__file__).with_name("seed_claims.toml")
OWN_CLAIMS: Final = Path(__file__).with_name("own_claims.toml")
EXAMPLE_CLAIMS: Final = Path(__file__).with_name("example_claims.toml")

#: A baseline that is computed from what was measured; `strongest:torch` limits it to a family.
STRONGEST: Final = "strongest"


class ClaimsDocument(Record):
    """What a claims file holds."""

    schema_version: Literal[1]
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]
    shapes: tuple[Shape, ...] = ()
    numbers: tuple[Number, ...] = ()
    products: tuple[Product, ...] = ()


class ClaimsFile(ClaimsDocument):
    """A claims file that was read: its name and the digest of its bytes beside what it holds."""

    name: str
    sha256: str


def load_claims(path: Path) -> ClaimsFile:
    """Returns the claims of a file.

    Raises:
        UsageError: the file cannot be read, is no TOML, or breaks a rule; the message names file, claim, field, rule,
            value and what to do.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: a claims file must be readable; {error.strerror}. Give the path of a TOML file."
        ) from None
    return parse_claims(data, path.name)


def parse_claims(data: bytes, name: str) -> ClaimsFile:
    """Returns the claims in the bytes of a file called `name`.

    Raises:
        UsageError: as `load_claims`.
    """
    try:
        document = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name}: a claims file is TOML in UTF-8; byte {error.start} is not. Save it as UTF-8."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: not valid TOML: {error}. Compare it with {EXAMPLE_CLAIMS.name}.") from None
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{name}: schema_version must be {SCHEMA_VERSION}, the version this suite reads; got {version!r}. "
            f"Write schema_version = {SCHEMA_VERSION} at the top of the file, or use the suite it was written for."
        )
    try:
        read = ClaimsDocument.model_validate(document)
    except ValidationError as error:
        problems = "\n".join(f"  {_problem(dict(found), document)}" for found in error.errors())
        raise UsageError(f"{name}: not a valid claims file\n{problems}\n{_ADVICE}") from None
    fields = {field: getattr(read, field) for field in ClaimsDocument.model_fields}
    file = ClaimsFile(name=name, sha256=hashlib.sha256(data).hexdigest(), **fields)
    _refuse_duplicates(file)
    _refuse_dangling(file)
    return file


def check_names(
    files: Iterable[ClaimsFile],
    *,
    find_workload: Callable[[str], object],
    implementations: Collection[str],
    families: Collection[str],
) -> None:
    """Passes when every workload and baseline that a testable reading names is known.

    Args:
        files: the claims files.
        find_workload: returns the workload of a name or raises UsageError.
        implementations: names of all implementations.
        families: families a `strongest:FAMILY` may name.

    Raises:
        UsageError: the first unknown name, with its file, claim and reading.
    """
    for file in files:
        for claim in file.claims:
            for reading in claim.readings:
                if reading.untestable is not None:
                    continue
                try:
                    find_workload(reading.workload)
                    _check_implementations(reading, implementations, families)
                except UsageError as error:
                    raise UsageError(f"{file.name}: claim {claim.id!r}, reading {reading.id!r}: {error}") from None


def check_distinct(files: Iterable[ClaimsFile]) -> None:
    """Passes when no claim id stands in two files.

    Raises:
        UsageError: the first id that does, with both files.
    """
    seen: dict[str, str] = {}
    for file in files:
        for claim in file.claims:
            if claim.id in seen:
                raise UsageError(
                    f"{file.name}: claim ids must differ over all claims files; {claim.id!r} stands in "
                    f"{seen[claim.id]} too. Rename one of them."
                )
            seen[claim.id] = file.name


_ADVICE: Final = f"Every field is explained in {EXAMPLE_CLAIMS.name}, beside this suite's own claims files."

#: pydantic's error type -> what to do about it.
_REMEDIES: Final = {
    "missing": "add it",
    "extra_forbidden": "remove it or correct its spelling",
    "greater_than": "state a positive number",
    "greater_than_equal": "state a larger number",
    "finite_number": "state a finite number",
    "too_short": "add at least one",
    "string_too_short": "write it out",
    "string_pattern_mismatch": "use lower-case letters, digits and hyphens",
}


def _problem(found: dict[str, Any], document: dict[str, Any]) -> str:
    """One line: where, rule, value, remedy."""
    where: list[str] = []
    node: Any = document
    field = ""
    for step in found["loc"]:
        node = _child(node, step)
        if isinstance(step, int):
            noun = field.removesuffix("s")
            named = node.get("id") if isinstance(node, dict) else None
            where[-1] = f"{noun} {named!r}" if named else f"{noun} {step + 1}"
        else:
            field = str(step)
            where.append(field)
    rule = found["msg"].removeprefix("Value error, ")
    given = found["input"]
    value = "" if isinstance(given, dict | list | tuple) else f"; got {given!r}"
    remedy = _REMEDIES.get(found["type"])
    return f"{', '.join(where)}: {rule}{value}{f' -> {remedy}' if remedy else ''}"


def _child(node: Any, step: int | str) -> Any:  # noqa: ANN401  # a TOML document is any nesting of tables and arrays
    try:
        return node[step]
    except (KeyError, IndexError, TypeError):
        return None


def _refuse_duplicates(file: ClaimsFile) -> None:
    for noun, ids in {
        "claim": [claim.id for claim in file.claims],
        "shape": [shape.id for shape in file.shapes],
        "number": [number.id for number in file.numbers],
        "product": [product.id for product in file.products],
    }.items():
        for duplicate in sorted({one for one in ids if ids.count(one) > 1}):
            raise UsageError(
                f"{file.name}: {noun} {duplicate!r}: id: ids must differ; {ids.count(duplicate)} have this one. "
                f"Rename all but one."
            )


def _refuse_dangling(file: ClaimsFile) -> None:
    shapes = [shape.id for shape in file.shapes]
    numbers = [number.id for number in file.numbers]
    try:
        for number in file.numbers:
            if number.shape is not None and number.shape not in shapes:
                raise unknown_name("shape", number.shape, shapes)
            for origin in number.derived_from:
                if origin not in numbers:
                    raise unknown_name("number", origin, numbers)
        for product in file.products:
            for name in (*product.parts, product.total):
                if name not in numbers:
                    raise unknown_name("number", name, numbers)
    except UsageError as error:
        raise UsageError(f"{file.name}: {error}") from None


def _check_implementations(reading: Reading, implementations: Collection[str], families: Collection[str]) -> None:
    if reading.candidate != "candidate" and reading.candidate not in implementations:
        raise unknown_name("implementation", reading.candidate, ["candidate", *implementations])
    if reading.baseline is None or reading.baseline == STRONGEST:
        return
    if reading.baseline.startswith(f"{STRONGEST}:"):
        family = reading.baseline.removeprefix(f"{STRONGEST}:")
        if family not in families:
            raise unknown_name("family", family, families)
    elif reading.baseline not in implementations:
        raise unknown_name("baseline", reading.baseline, [STRONGEST, *implementations])
