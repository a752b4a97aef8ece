"""Correctness as the report shows it: a row per check, with the largest error over its bound by token count."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from validation.correctness.case import Case, Gate, Outcome
from validation.correctness.trials import PlantedCount
from validation.report.words import count, sentence
from validation.verdicts.units import interval, scaled, significant
from validation.verdicts.unseen import UnseenCalls

#: Classes of token counts: a column per class, however many shapes were drawn.
_TOKENS: Final = ((1, "T ≤ 1"), (16, "2–16"), (64, "17–64"), (256, "65–256"))
_MORE, _OTHER = "> 256", "other"
#: Upper ends of the bands of error/bound: a tenth, a half, the bound itself, a miss, and a miss beyond rounding.
_BANDS: Final = (0.1, 0.5, 1.0, 10.0)
_OUTCOMES: Final = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.MISTRUSTED: "mistrusted",
    Outcome.NOT_SUPPORTED: "declined",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The largest error/bound of one check at one class of token counts; `band` is 0 (a tenth at most) to 4."""

    text: str
    band: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """All cases of one check of one implementation."""

    check: str
    outcome: Outcome
    outcomes: str
    bits: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectnessView:
    """What was checked on one machine."""

    columns: tuple[str, ...]
    rows: tuple[CheckRow, ...]
    failures: tuple[Case, ...]
    worst: Case | None
    summary: str
    gates_passed: tuple[str, ...]
    gates_told: tuple[Gate, ...]
    unseen: str
    unseen_outcome: Outcome
    planted: str
    planted_outcome: Outcome


def correctness_view(
    cases: Sequence[Case],
    gates: Sequence[Gate],
    planted: PlantedCount | None = None,
    unseen: Sequence[UnseenCalls] = (),
) -> CorrectnessView:
    """Returns the cases by check, and the gates: those that passed without a remark by name alone."""
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.check, case.implementation), []).append(case)
    several = len({implementation for _, implementation in groups}) > 1
    found = {_tokens(case.shape) for case in cases if case.worst is not None}
    columns = tuple(name for name in (*(name for _, name in _TOKENS), _MORE, _OTHER) if name in found)
    trusted = [case for case in cases if case.worst is not None and case.outcome is not Outcome.MISTRUSTED]
    quiet = [gate for gate in gates if gate.outcome is Outcome.PASSED and not gate.message]
    return CorrectnessView(
        columns=columns,
        rows=tuple(
            _row(_words(check) + (f" ({implementation})" if several else ""), group, columns)
            for (check, implementation), group in groups.items()
        ),
        failures=tuple(case for case in cases if case.outcome is Outcome.FAILED),
        worst=max(trusted, key=lambda case: case.worst or 0.0, default=None),
        summary=_summary(cases, trusted),
        gates_passed=tuple(dict.fromkeys(_words(gate.gate) for gate in quiet)),
        gates_told=tuple(gate for gate in gates if gate not in quiet),
        unseen=_unseen(unseen),
        unseen_outcome=Outcome.FAILED if any(one.fault for one in unseen) else Outcome.PASSED,
        planted=_planted(planted),
        planted_outcome=_planted_outcome(planted),
    )


def _row(name: str, group: Sequence[Case], columns: Sequence[str]) -> CheckRow:
    found = Counter(case.outcome for case in group)
    bits = min((case.effective_bits for case in group if case.effective_bits is not None), default=None)
    worst: dict[str, float] = {}
    for case in group:
        if case.worst is not None:
            worst[_tokens(case.shape)] = max(worst.get(_tokens(case.shape), 0.0), case.worst)
    order = (Outcome.FAILED, Outcome.MISTRUSTED, Outcome.PASSED, Outcome.NOT_SUPPORTED)
    return CheckRow(
        check=name,
        outcome=next(outcome for outcome in order if found[outcome]),
        outcomes=", ".join(f"{found[outcome]} {word}" for outcome, word in _OUTCOMES.items() if found[outcome]),
        bits="–" if bits is None else f"{bits:.1f}",
        cells=tuple(_cell(worst[column]) if column in worst else None for column in columns),
    )


def _cell(value: float) -> Cell:
    # Two significant digits tell 0.037 from 0.0064; below a thousandth of the bound nothing is at stake.
    text = "0" if value == 0 else "< 0.001" if value < 1e-3 else significant(value, 2)  # noqa: PLR2004
    return Cell(text=text, band=sum(value > end for end in _BANDS))


def _summary(cases: Sequence[Case], trusted: Sequence[Case]) -> str:
    found = Counter(case.outcome for case in cases)
    parts = [f"{found[outcome]:,} {word}" for outcome, word in _OUTCOMES.items() if found[outcome]]
    dtypes = ", ".join(dict.fromkeys(case.dtype for case in cases))
    largest = max((case.worst or 0.0 for case in trusted), default=None)
    bound = "" if largest is None else f" The largest error is {significant(largest, 2)} of its bound."
    told = f"{count(len(cases), 'case')} in {dtypes}: {', '.join(parts)}"
    return sentence(told) + bound if cases else ""


def _unseen(unseen: Sequence[UnseenCalls]) -> str:
    """How long calls on tokens that nobody had seen took beside the others, or nothing."""
    told = []
    for one in unseen:
        if one.ratio is not None:
            value = f"{scaled('', one.ratio.value)} {interval('', one.ratio.value, one.ratio.low, one.ratio.high)}"
            told.append(f"{value} times on {one.on}, {one.calls:,} of {one.all_calls:,} calls")
    return f"Timed calls on tokens that nobody had seen, beside the others (99.8 %): {'; '.join(told)}." if told else ""


def _planted(planted: PlantedCount | None) -> str:
    """Whether this suite can be trusted to notice: how many kernels made to be caught it caught."""
    if planted is None:
        return "The planted faults and cheats were not tried with the sources of this run."
    told = (
        f"The suite caught {planted.faults_caught} of {planted.faults} planted faults and "
        f"{planted.cheats_caught} of {planted.cheats} cheats, tried on {planted.tried} with "
        f"{'these very sources' if planted.these_sources else 'other sources than these'}."
    )
    return f"{told} Not caught: {', '.join(planted.missed)}." if planted.missed else told


def _planted_outcome(planted: PlantedCount | None) -> Outcome:
    if planted is None or not planted.these_sources:
        return Outcome.MISTRUSTED
    return Outcome.FAILED if planted.missed else Outcome.PASSED


def _tokens(shape: str) -> str:
    """The class of a shape's token count, which stands first: `64x128x256-E4-k2` or `T64 d128 f256`."""
    found = re.match(r"T?\s*(\d{1,9})", shape)
    if found is None:
        return _OTHER
    return next((name for most, name in _TOKENS if int(found[1]) <= most), _MORE)


def _words(name: str) -> str:
    return name.replace("_", " ")
