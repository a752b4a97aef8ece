"""The JSON schemas of everything the suite writes or reads, generated from its records.

`python -m validation.verdicts.schemas` writes them to schemas/ in the repository.
"""

import json
import sys
from pathlib import Path
from typing import Final

from validation.claims.load import ClaimsDocument
from validation.evidence.record import Evidence
from validation.record import Record
from validation.verdicts.verdict import Verdicts

FOLDER: Final = Path(__file__).resolve().parents[2] / "schemas"

_DOCUMENTS: Final[dict[str, tuple[type[Record], str]]] = {
    "claims": (ClaimsDocument, "A claims file (TOML) of moe-validation"),
    "evidence": (Evidence, "evidence.json of moe-validation"),
    "verdicts": (Verdicts, "verdicts.json of moe-validation"),
}


def schemas() -> dict[str, str]:
    """Returns the text of each schema by its file's name, in JSON Schema 2020-12."""
    return {
        f"{name}.schema.json": json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                **record.model_json_schema(mode="validation"),
                "title": title,
            },
            indent=1,
            sort_keys=True,
        )
        + "\n"
        for name, (record, title) in _DOCUMENTS.items()
    }


def write(folder: Path = FOLDER) -> None:
    """Puts every schema into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
