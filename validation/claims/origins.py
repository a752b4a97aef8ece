"""Where published numbers came from: what is presented as measured, and what it was computed from."""

from collections.abc import Iterator, Mapping, Sequence

from validation.claims.audit_finding import AuditFinding, Check, Outcome
from validation.claims.claim import Provenance
from validation.claims.figures import quoted, said, stated
from validation.claims.published import Number

_INVENTED = frozenset({Provenance.SIMULATED, Provenance.ASSERTED})


def provenance(numbers: Sequence[Number]) -> Iterator[AuditFinding]:
    """What is presented as measured must have been measured, and on what it is said of.

    A ratio of measured numbers is derived and honestly called measured; `circular` follows what it was derived from.
    """
    for number in numbers:
        if number.presented_as is Provenance.MEASURED and number.provenance in _INVENTED:
            words = f"{said(number)} is presented as measured, and its scripts show that it was {number.provenance}."
            yield _finding(Check.PROVENANCE, Outcome.CONTRADICTS, [number], words)
        if number.ran is not None and number.ran != number.of:
            words = f"{said(number)} is said of {number.of}, and its scripts ran {number.ran}."
            yield _finding(Check.PROVENANCE, Outcome.CONTRADICTS, [number], words)


def circular(numbers: Sequence[Number], by_id: Mapping[str, Number]) -> Iterator[AuditFinding]:
    """A number computed from one that nobody measured returns what was put in."""
    for number in numbers:
        roots = [origin for origin in _ancestors(number, by_id) if origin.provenance in _INVENTED]
        if roots:
            listed = ", ".join(f"{root.id} ({quoted(root)}, {root.provenance})" for root in roots)
            contradicts = number.presented_as is Provenance.MEASURED
            yield _finding(
                Check.CIRCULAR,
                Outcome.CONTRADICTS if contradicts else Outcome.NOTABLE,
                [number, *roots],
                f"{said(number)} was computed from what nobody measured: {listed}.",
            )


def _ancestors(number: Number, by_id: Mapping[str, Number]) -> list[Number]:
    """Everything a number was computed from, each once and by id; a loop of derivations ends the search."""
    seen: set[str] = set()
    waiting = list(number.derived_from)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(by_id[name].derived_from)
    return [by_id[name] for name in sorted(seen - {number.id})]


def _finding(check: Check, outcome: Outcome, numbers: Sequence[Number], sentence: str) -> AuditFinding:
    first = stated(numbers[0])
    return AuditFinding(
        check=check,
        outcome=outcome,
        numbers=tuple(number.id for number in numbers),
        stated=first.middle,
        expected=first.middle,
        unit=first.unit,
        factor=1.0,
        sentence=sentence,
        sources=tuple(number.source for number in numbers),
    )
