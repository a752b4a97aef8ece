"""The three sentences of page 1: what holds, what does not, and on which machine this was seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from validation.correctness.case import Outcome
from validation.evidence.record import Evidence, Status
from validation.report.mark import FAILS, HOLDS
from validation.report.material import Material
from validation.report.quantity import claimed, limit, quantity
from validation.verdicts.verdict import Finding, Verdict, Verdicts

#: How many claims a sentence names before it counts the rest.
_NAMED: Final = 3
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """One sentence each."""

    holds: str
    fails: str
    where: str


def conclude(material: Material) -> Conclusion:
    """Returns the conclusion of a report, made of nothing but its verdicts and its evidence."""
    strict = tuple(finding for finding in material.verdicts.findings if finding.strict and not finding.promise)
    own = tuple(finding for finding in material.verdicts.findings if finding.strict and finding.promise)
    evidences = [file.evidence for file in material.evidence]
    return Conclusion(
        holds=_holds(strict, own, material.verdicts, evidences),
        fails=_fails(strict, own, material.verdicts, evidences),
        where=_where(evidences),
    )


def count(number: int, noun: str, plural: str = "") -> str:
    """Returns `one claim`, `12 claims`."""
    return f"{_number(number)} {noun if number == 1 else plural or noun + 's'}"


def _number(number: int) -> str:
    return _NUMBERS[number] if number < len(_NUMBERS) else f"{number:,}"


def listed(items: Sequence[str]) -> str:
    """Returns `a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def machine_name(evidence: Evidence) -> str:
    """Returns the hardware in words, without anything that names its owner."""
    environment = evidence.environment
    host = f"{environment.cpu_model} ({count(environment.cores, 'core')})"
    if environment.gpu is not None:
        return f"{environment.gpu.name} in a host with {host}"
    return host


def _holds(strict: Sequence[Finding], own: Sequence[Finding], verdicts: Verdicts, evidences: Sequence[Evidence]) -> str:
    decided = [finding for finding in strict if finding.verdict in HOLDS | FAILS | {Verdict.CONFIRMED_WEAK_BASELINE}]
    held = [finding for finding in decided if finding.verdict in HOLDS]
    weak = [finding for finding in decided if finding.verdict is Verdict.CONFIRMED_WEAK_BASELINE]
    several = len(evidences) > 1
    if not strict:
        text = ""
    elif not decided:
        text = "This evidence could not decide any of the published claims"
    elif not held:
        told = count(_claims(decided), "published claim")
        text = f"Of the {told} that could be decided, none holds as a fair reader takes it"
        if _claims(decided) == 1:
            text = "The one published claim that could be decided does not hold as a fair reader takes it"
    else:
        names = _named([f"{_name(f, verdicts, several)} ({_outcome(f)})" for f in held])
        verb = "holds" if _claims(held) == 1 else "hold"
        of = f"Of the {count(_claims(decided), 'published claim')} that could be decided, "
        told = f"{of}{count(_claims(held), 'claim')}" if _claims(decided) > 1 else "The claim"
        text = f"{told} {verb}: {names}"
    if weak:
        verb = "holds" if len(weak) == 1 else "hold"
        text += f"; {_named([_name(f, verdicts, several) for f in weak])} {verb} only against a weak baseline"
    if own:
        kept = sum(finding.verdict in HOLDS for finding in own)
        kept_of = "all" if kept == len(own) else _number(kept) if kept else "none"
        own_text = f"of this project's own {count(len(own), 'threshold')}, {kept_of} {'is' if kept == 1 else 'are'} met"
        text = f"{text}; {own_text}" if text else own_text[0].upper() + own_text[1:]
    return f"{text or 'No claims were judged'}."


def _fails(strict: Sequence[Finding], own: Sequence[Finding], verdicts: Verdicts, evidences: Sequence[Evidence]) -> str:
    wrong = _wrong(evidences)
    several = len(evidences) > 1
    parts = [wrong] if wrong else []
    judged = [*strict, *own]
    impossible = [f for f in judged if f.verdict is Verdict.IMPOSSIBLE]
    refuted = [f for f in judged if f.verdict is Verdict.REFUTED]
    if impossible:
        parts.append(_named([f"{_name(f, verdicts, several)} is impossible ({_outcome(f)})" for f in impossible]))
    if refuted:
        parts.append(_named([f"{_name(f, verdicts, several)} is refuted ({_outcome(f)})" for f in refuted]))
    open_questions = [
        f"{count(number, 'claim')} {'stays' if number == 1 else 'stay'} open for {why}"
        for why, number in (
            ("noise", _claims([f for f in judged if f.verdict is Verdict.INCONCLUSIVE])),
            ("a fault of the measurement", _claims([f for f in judged if f.verdict is Verdict.HARNESS_FAULT])),
        )
        if number
    ]
    tested = [f for f in judged if f.verdict is not Verdict.NOT_TESTED]
    untested = _claims(judged) - _claims(tested)
    if untested:
        open_questions.append(f"{count(untested, 'claim')} {'was' if untested == 1 else 'were'} not tested here")
    parts += open_questions
    if not parts:
        return "No claim was found to be wrong."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _wrong(evidences: Sequence[Evidence]) -> str:
    outcomes = [item.outcome for e in evidences for item in e.cases] + [
        item.outcome for e in evidences for item in e.gates
    ]
    failed = outcomes.count(Outcome.FAILED)
    wrong_outputs = sum(
        block.outputs_wrong
        for evidence in evidences
        for process in evidence.processes
        for series in process.series
        for block in series.blocks
    )
    if not failed and not wrong_outputs:
        return ""
    found = ([count(failed, "failed check")] if failed else []) + (
        [count(wrong_outputs, "wrong output") + " while it was timed"] if wrong_outputs else []
    )
    return f"a kernel that was run gave wrong or dishonest answers ({listed(found)}), so no speed of it counts"


def _where(evidences: Sequence[Evidence]) -> str:
    told = []
    for evidence in evidences:
        checks = [item.outcome for item in evidence.cases] + [item.outcome for item in evidence.gates]
        passed = sum(outcome is Outcome.PASSED for outcome in checks)
        pairs = len({process.round for process in evidence.processes if not process.discarded})
        seen = []
        if pairs:
            seen.append(count(pairs, "process pair"))
        if checks:
            seen.append(f"{passed:,} of {len(checks):,} checks passed")
        cut = ", a run that was cut off" if evidence.status is Status.PARTIAL else ""
        checked = f" ({', '.join(seen)})" if seen else ""
        told.append(f"{machine_name(evidence)} on {day(evidence.recorded_at)}{checked}{cut}")
    text = "; and on ".join(told)
    return f"This was measured on {text}; it says nothing about other machines."


def day(timestamp: str) -> str:
    """Returns the date of an ISO 8601 timestamp."""
    return timestamp[:10]


def _claims(findings: Sequence[Finding]) -> int:
    """How many claims: one that was judged on two machines is one claim."""
    return len({finding.claim for finding in findings})


def _outcome(finding: Finding) -> str:
    parts = []
    if finding.estimate is not None:
        parts.append(f"measured {quantity(finding.metric, finding.estimate)}")
    parts.append(f"claimed {claimed(finding)}")
    if finding.limit is not None and finding.verdict is Verdict.IMPOSSIBLE:
        parts.append(
            f"the hardware allows {'at least' if finding.comparison == 'at_most' else 'at most'} {limit(finding)}"
        )
    return ", ".join(parts)


def _name(finding: Finding, verdicts: Verdicts, several: bool) -> str:  # noqa: FBT001 - one call site each, named there
    title = next((claim.title for claim in verdicts.claims if claim.id == finding.claim), finding.claim)
    return f"“{title}” on {finding.machine}" if several else f"“{title}”"


def _named(items: Sequence[str]) -> str:
    if len(items) <= _NAMED:
        return listed(items)
    return f"{', '.join(items[:_NAMED])} and {count(len(items) - _NAMED, 'other')}"
