"""`planted`: how many broken and dishonest kernels does this build catch?"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
from pydantic import ValidationError
from rich.console import Console

from validation.correctness.planted import sources_digest, try_cheat, try_fault
from validation.correctness.planted_cheats import CHEATS
from validation.correctness.planted_faults import FAULTS
from validation.correctness.trials import PlantedCount, Trial, Trials
from validation.evidence.atomic import write_atomically
from validation.stages.console import step
from validation.usage import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ROOT: Final = Path(__file__).parents[2]

#: Where the last trial is kept: of this machine, and as committed.
RECORDS: Final = (_ROOT / "build" / "planted.json", _ROOT / "records" / "planted.json")

#: Faults are tried two at a time: each is one process. Cheats are judged by the clock, one after the other.
_AT_ONCE: Final = 2


def try_planted(*, as_json: bool) -> bool:
    """Tries every planted kernel, prints those that got through and how many did not; False when one did.

    Raises:
        UsageError: the suite was changed meanwhile.
    """
    console = Console(stderr=as_json)
    sources = sources_digest()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        faults = _tried("planted faults", FAULTS, lambda names: pool.map(try_fault, names), console)
    cheats = _tried("planted cheats", CHEATS, lambda names: map(try_cheat, names), console)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    if sources != sources_digest():
        raise UsageError("the suite's sources must stay as they are while kernels are tried; they changed. Try again.")
    trials = Trials(sources=sources, tried=today, faults=faults, cheats=cheats)
    # Where this copy of the suite lies is nobody's business.
    text = trials.model_dump_json(indent=1).replace(f"{_ROOT}/", "")
    write_atomically(RECORDS[0], text.encode() + b"\n")
    missed = [one for one in (*faults, *cheats) if not one.caught]
    if as_json:
        typer.echo(trials.model_dump_json(indent=1))
        return not missed
    for one in missed:
        line = f"  {one.name} got past {one.by}; said was: {one.message or 'nothing'}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    sentence = trials.counted(sources).sentence
    console.print(f"{sentence[0].upper()}{sentence[1:]}.", highlight=False, soft_wrap=True)
    return not missed


def planted_count() -> PlantedCount | None:
    """Returns how the last trial came out, of all on this machine and as committed; one with these sources goes first.

    None where there is no record, as in an installed package.
    """
    digest = sources_digest()
    counts = [trials.counted(digest) for trials in map(_recorded, RECORDS) if trials is not None]
    return max(counts, key=lambda one: (one.these_sources, one.tried), default=None)


def _recorded(path: Path) -> Trials | None:
    try:
        return Trials.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _tried(
    title: str, names: Iterable[str], trial: Callable[[list[str]], Iterable[Trial]], console: Console
) -> tuple[Trial, ...]:
    ordered = sorted(names)
    found: list[Trial] = []
    with step(console, title, len(ordered)) as shown:
        for one in trial(ordered):
            found.append(one)
            shown.note(one.name)
            shown.advance()
    return tuple(found)
