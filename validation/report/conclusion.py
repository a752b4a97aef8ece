"""The sentences of page 1: is the kernel right, what holds, what does not, and on which machine this was seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from validation.correctness.case import Outcome
from validation.evidence.record import Evidence, Status
from validation.report.mark import FAILS, HOLDS
from validation.report.material import Material
from validation.report.quantity import claimed, limit, quantity
from validation.report.recorded import sources
from validation.report.words import count, day, listed, machine_name, number_word, sentence
from validation.verdicts.accusations import accusations
from validation.verdicts.verdict import Finding, Verdict, Verdicts

#: How many claims a sentence names before it counts the rest.
_NAMED: Final = 3
#: What page 1 says of the claims that fail, by verdict: of one, and of several.
_FAILING: Final = (
    (
        Verdict.IMPOSSIBLE,
        "one is impossible: no program on this hardware reaches it",
        "{} are impossible: no program on this hardware reaches them",
    ),
    (Verdict.REFUTED, "one is refuted", "{} are refuted"),
    (Verdict.INVALID, "one is void, for the kernel is wrong", "{} are void, for the kernel is wrong"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """One sentence or two each."""

    kernel: str
    holds: str
    fails: str
    where: str

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """Each with the words that it begins with in print."""
        return (
            f"The kernel. {self.kernel}",
            f"What holds. {self.holds}",
            f"What does not. {self.fails}",
            f"Where. {self.where}",
        )


def conclude(material: Material) -> Conclusion:
    """Returns the conclusion of a report, made of nothing but its verdicts and its evidence."""
    verdicts = material.verdicts
    headlines = [finding for finding in verdicts.findings if finding.strict]
    strict = tuple(finding for finding in headlines if not finding.promise and not finding.target)
    own = tuple(finding for finding in headlines if finding.promise)
    targets = tuple(finding for finding in headlines if finding.target)
    evidences = [file.evidence for file in material.evidence]
    letters = {source.sha256: source.letter for source in sources(material)} if len(evidences) > 1 else {}
    name = _Names(verdicts=verdicts, letters=letters)
    return Conclusion(
        kernel=_kernel(evidences),
        holds=_holds(strict, own, targets, name),
        fails=_fails([*strict, *own], name),
        where=_where(evidences),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """What a finding is called in a sentence: its claim's title, and its machine where there are several."""

    verdicts: Verdicts
    letters: Mapping[str, str]

    def __call__(self, finding: Finding) -> str:
        title = next((claim.title for claim in self.verdicts.claims if claim.id == finding.claim), finding.claim)
        letter = self.letters.get(finding.evidence_sha256)
        return f"“{title}” on machine {letter}" if letter else f"“{title}”"


def _kernel(evidences: Sequence[Evidence]) -> str:
    """Whether what was validated is right and honest: without it no speed counts."""
    cases = [one.outcome for evidence in evidences for one in evidence.cases]
    gates = [one.outcome for evidence in evidences for one in evidence.gates]
    blocks = [
        block
        for evidence in evidences
        for process in evidence.processes
        for series in process.series
        for block in series.blocks
    ]
    wrong = sum(block.outputs_wrong for block in blocks)
    knows = sum(
        len(accusations(evidence, one.name))
        for evidence in evidences
        for one in evidence.implementations
        if one.role == "candidate"
    )
    faults = [
        count(number, one, many)
        for number, one, many in (
            (cases.count(Outcome.FAILED), "correctness case failed", "correctness cases failed"),
            (gates.count(Outcome.FAILED) + knows, "way of cheating was found", "ways of cheating were found"),
            (wrong, "output was wrong while it was timed", "outputs were wrong while they were timed"),
        )
        if number
    ]
    if faults:
        return f"{sentence(listed(faults))} So no speed of it counts."
    if not cases and not gates:
        return "Nothing was checked for correctness in this evidence."
    passed, empty = cases.count(Outcome.PASSED), cases.count(Outcome.MISTRUSTED)
    besides = (
        f" ({count(empty, 'more', 'more')} that zeros would pass too {'is' if empty == 1 else 'are'} not counted)"
        if empty
        else ""
    )
    told = [f"its answers are right in {'' if empty else 'all '}{count(passed, 'case')}{besides}"]
    looked = {one.gate for evidence in evidences for one in evidence.gates}
    if looked:
        told.append(f"of {count(len(looked), 'way')} to cheat that were looked for none was found")
    if blocks:
        calls = sum(len(block.calls_ns) for block in blocks)
        told.append(f"every one of {calls:,} timed outputs, the baselines' included, was checked too")
    planted = [one.planted for one in evidences if one.planted is not None and one.planted.these_sources]
    if planted:
        tried = planted[-1]
        told.append(
            f"the suite that says so caught {tried.faults_caught} of {tried.faults} faults and "
            f"{tried.cheats_caught} of {tried.cheats} cheats that were planted to try it"
        )
    return sentence("; ".join(told))


def _holds(strict: Sequence[Finding], own: Sequence[Finding], targets: Sequence[Finding], name: _Names) -> str:
    decided = [finding for finding in strict if finding.verdict in HOLDS | FAILS | {Verdict.CONFIRMED_WEAK_BASELINE}]
    held = [finding for finding in decided if finding.verdict in HOLDS]
    weak = [finding for finding in decided if finding.verdict is Verdict.CONFIRMED_WEAK_BASELINE]
    number, parts = _claims(decided), []
    if strict and not decided:
        parts.append("this evidence could not decide any of the published claims")
    elif strict and not held and number == 1:
        parts.append("the one published claim that could be decided does not hold as a fair reader takes it")
    elif strict and not held:
        parts.append(
            f"of the {count(number, 'published claim')} that could be decided, none holds as a fair reader takes it"
        )
    elif strict:
        verb = "holds" if _claims(held) == 1 else "hold"
        of = f"of the {count(number, 'published claim')} that could be decided, {number_word(_claims(held))}"
        told = _listed([f"{name(finding)} ({_outcome(finding)})" for finding in held])
        parts.append(f"{of if number > 1 else 'the one published claim that could be decided'} {verb}: {told}")
    if weak:
        verb = "holds" if len(weak) == 1 else "hold"
        parts.append(f"{_listed([name(finding) for finding in weak])} {verb} only against a weak baseline")
    thresholds = _kept(own)
    if len(thresholds) == 1:
        parts.append(f"this project's own threshold is {'' if thresholds[0] else 'not '}confirmed")
    elif thresholds:
        kept, verb = _held_of(thresholds)
        parts.append(f"of this project's own {count(len(thresholds), 'threshold')}, {kept} {verb} confirmed")
    met = _kept([finding for finding in targets if finding.verdict is not Verdict.NOT_TESTED])
    if len(met) == 1:
        parts.append(f"the one of its targets that was measured is {'' if met[0] else 'not '}confirmed")
    elif met:
        kept, verb = _held_of(met)
        parts.append(f"of its {count(len(met), 'target')} that were measured, {kept} {verb} confirmed")
    return sentence("; ".join(parts)) if parts else "No claims were judged."


def _kept(findings: Sequence[Finding]) -> list[bool]:
    """Of each claim, whether it holds on a machine and fails on none."""
    verdicts: dict[str, set[Verdict]] = {}
    for finding in findings:
        verdicts.setdefault(finding.claim, set()).add(finding.verdict)
    return [bool(found & HOLDS) and not found & FAILS for found in verdicts.values()]


def _held_of(kept: Sequence[bool]) -> tuple[str, str]:
    """How many of several hold, in words, and the verb: `none is`, `three are`, `all are`."""
    held = sum(kept)
    words = "all" if held == len(kept) else number_word(held) if held else "none"
    return words, "are" if held > 1 else "is"


def _fails(judged: Sequence[Finding], name: _Names) -> str:
    parts = []
    for verdict, one, many in _FAILING:
        found = [finding for finding in judged if finding.verdict is verdict]
        number = _claims(found)
        if number:
            told = one if number == 1 else f"{many.format(number_word(number))}, for example"
            parts.append(f"{told}{':' if number == 1 else ''} {name(found[0])} ({_outcome(found[0])})")
    # What fails on one machine is not open for what another could not decide.
    failing = {finding.claim for finding in judged if finding.verdict in {verdict for verdict, *_ in _FAILING}}
    others = [finding for finding in judged if finding.claim not in failing]
    left = [
        f"{count(number, 'claim')} {'stays' if number == 1 else 'stay'} open for {why}"
        for why, number in (
            ("noise", _claims([f for f in others if f.verdict is Verdict.INCONCLUSIVE])),
            ("a fault of the measurement", _claims([f for f in others if f.verdict is Verdict.HARNESS_FAULT])),
        )
        if number
    ]
    untested = _claims(judged) - _claims([f for f in judged if f.verdict is not Verdict.NOT_TESTED])
    if untested:
        left.append(f"{count(untested, 'claim')} {'was' if untested == 1 else 'were'} not tested here")
    if not parts:
        parts.append("no claim was found to be wrong")
    if left:
        parts.append(listed(left))
    return " ".join(sentence(part) for part in parts)


def _where(evidences: Sequence[Evidence]) -> str:
    told = []
    for evidence in evidences:
        pairs = len({process.round for process in evidence.processes if not process.discarded})
        cut = "; the run was cut off" if evidence.status is Status.PARTIAL else ""
        seen = f" ({count(pairs, 'process pair')}{cut})" if pairs else ""
        told.append(f"{machine_name(evidence)} on {day(evidence.recorded_at)}{seen}")
    machines = "that machine" if len(told) == 1 else "those machines"
    return f"Measured on {', and on '.join(told)}. It holds for {machines} alone."


def _claims(findings: Sequence[Finding]) -> int:
    """How many claims: one that was judged on two machines is one claim."""
    return len({finding.claim for finding in findings})


def _outcome(finding: Finding) -> str:
    parts = [f"claimed {claimed(finding)}"]
    if finding.estimate is not None:
        parts.append(f"measured {quantity(finding, finding.estimate)}")
    if finding.limit is not None and finding.verdict is Verdict.IMPOSSIBLE:
        parts.append(
            f"the hardware allows {'at least' if finding.comparison == 'at_most' else 'at most'} {limit(finding)}"
        )
    return ", ".join(parts)


def _listed(items: Sequence[str]) -> str:
    if len(items) <= _NAMED:
        return listed(items)
    return f"{', '.join(items[:_NAMED])} and {count(len(items) - _NAMED, 'other')}"
