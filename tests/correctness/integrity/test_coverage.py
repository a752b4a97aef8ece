"""The table of docs/METHOD.md, section 2: every false result has a gate or a test, and something planted it catches."""

import re
from pathlib import Path
from typing import Final

import pytest

from validation.correctness.integrity import inspect
from validation.correctness.planted_cheats import CHEATS
from validation.correctness.planted_faults import FAULTS

_ROOT: Final = Path(__file__).parents[3]
_METHOD: Final = (_ROOT / "docs" / "METHOD.md").read_text()


def _rows() -> list[tuple[str, list[str], list[str]]]:
    """False result, the gates that keep it out, and what shows it."""
    section = _METHOD.partition("## 2. Integrity")[2].partition("\n## 3.")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return [(name, re.findall(r"`(\w+)`", by), re.findall(r"`([\w./]+)`", shown)) for name, by, shown in cells[2:]]


ROWS: Final = _rows()
GATES: Final = {gate.__name__: gate for gate in inspect.GATES}


@pytest.mark.parametrize(("gates", "shown"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_false_result_is_kept_out_by_a_gate_that_is_shown_to_catch_it(gates: list[str], shown: list[str]) -> None:
    assert shown
    for name in shown:
        if "/" in name:
            assert (_ROOT / name).is_file()
        elif gates:
            assert CHEATS[name] in gates
        else:
            assert name in FAULTS
    assert gates == [] or {CHEATS[name] for name in shown} == set(gates)


def test_every_gate_and_every_cheat_stands_in_the_table() -> None:
    assert {name for _row, gates, _shown in ROWS for name in gates} == set(GATES)
    assert {name for _row, gates, shown in ROWS if gates for name in shown} == set(CHEATS)


def test_every_gate_is_a_file_of_its_own() -> None:
    files = [gate.__module__ for gate in GATES.values()]
    assert len(set(files)) == len(files)
