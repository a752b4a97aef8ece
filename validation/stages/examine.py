"""Asks a candidate every case of a profile, and looks at how honest it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from validation.correctness.attempt import attempt
from validation.correctness.case import Outcome
from validation.correctness.integrity.doings import kept_to_itself
from validation.correctness.integrity.inspect import GATES, inspect
from validation.correctness.judge import too_slow
from validation.correctness.looks import looked_at
from validation.correctness.option import PROMISES, find_options
from validation.correctness.plan import brief_cases
from validation.correctness.question import ask
from validation.correctness.spec import PLAIN, in_tiles
from validation.correctness.suite import ALL_VARIANTS, check, plan_cases
from validation.correctness.survey import Standing, Survey, probe_spec, survey
from validation.stages.console import step
from validation.stages.pace import fitting
from validation.stages.subject import LIMITS, Running, Subject
from validation.workloads.layer import DTYPE_BYTES
from validation.workloads.registry import find as find_workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from validation.correctness.case import Case, Gate
    from validation.correctness.plan import Profile
    from validation.correctness.suite import CaseSpec
    from validation.correctness.survey import Offer
    from validation.implementations.mailbox import Doing

#: A kernel that took so many processes along is not given another; the cases left would each wait out the limit.
_MOST_DEATHS: Final = 3

#: The shape of the published claims: a call of some ms, in which hidden work would show.
_GATE_WORKLOAD: Final = "seed-claim"

#: Gates whose question is what calls take, one beside the other.
_OF_TIMES: Final = frozenset({"same_time_for_old_and_new", "does_its_own_work", "clocks_agree"})

#: A seed of its own for what is asked of every variant in dtypes beside the first.
SEED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """Every case, and what became of the options the kernel might have dealt with; none is told of our own.

    `subject` is who was examined, with the dtype it turned out to be for; `doings` are what it was reported to do.
    """

    subject: Subject
    cases: tuple[Case, ...]
    offers: tuple[Offer, ...] = ()
    doings: tuple[Doing, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """A line for each thing that was not checked: what nobody may take for granted."""
        reasons = {(case.check, case.message): case for case in self.cases if case.outcome is Outcome.NOT_SUPPORTED}
        told = {offer.reason for offer in self.offers}
        others = tuple(
            f"case {case.id}: not supported: {case.message}" for (_, why), case in reasons.items() if why not in told
        )
        alike: dict[tuple[Standing, str], list[str]] = {}
        for offer in self.offers:
            if offer.standing is not Standing.OFFERED:
                alike.setdefault((offer.standing, offer.reason), []).append(offer.option)
        return others + tuple(
            f"option {', '.join(options)}: {standing.value.replace('_', ' ')}: {reason}"
            for (standing, reason), options in alike.items()
        )


def examine(
    subject: Subject, profile: Profile, console: Console, *, dtypes: Sequence[str] = (), single: Sequence[CaseSpec] = ()
) -> Examined:
    """Returns how the candidate answered the profile's cases, or only the `single` ones, in processes of its own.

    The Mojo kernel is asked everything; of a kernel that was brought it is first found out what it deals with beside
    the layer it is for. `dtypes` must be dealt with too.

    Raises:
        UsageError: the kernel's file cannot be loaded, or declares what is no option.
    """
    heard: list[Doing] = []
    with Running(subject, heard) as running:
        declared = running.load()
        promised = tuple(word for word in declared or () if word in PROMISES)
        subject = replace(subject, require=(*subject.require, *promised))
        if single:
            return Examined(subject=subject, cases=_asked(subject, running, single, console))
        if subject.ours:
            cases = _asked(subject, running, _all_cases(subject, profile, dtypes), console)
            return Examined(subject=subject, cases=cases)
        subject = replace(subject, dtype=_home_dtype(subject, running))
        found = _surveyed(subject, running, declared, dtypes, heard)
        known = {case.id for case in found.cases}
        specs = [spec for spec in _cases_of(found, profile) if spec.id not in known]
        cases = (*found.cases, *_asked(subject, running, specs, console))
    return Examined(subject=subject, cases=cases, offers=found.offers, doings=tuple(heard))


def observe_gates(subject: Subject, console: Console, doings: Sequence[Doing] = ()) -> tuple[Gate, ...]:
    """Returns every integrity gate as the candidate passed it, in one scripted run on the published shape.

    A kernel too slow for it is looked at on a few tokens of that shape, and gates of times are mistrusted. `doings` are
    what was reported of it before.
    """
    published = find_workload(_GATE_WORKLOAD)
    home = subject.implementation.home
    layer = replace(subject.base.of(replace(published.layer, dtype=subject.dtype)), device=home)
    with step(console, "integrity gates", len(GATES)) as shown:
        heard = list(doings)
        workload = fitting(subject, replace(published, layer=layer), heard)
        gates = inspect(subject.implementation, workload, threads=subject.threads, limits=LIMITS)
        shown.done = len(gates)
    if workload.tokens < published.tokens:
        gates = tuple(_of_few(one, workload.tokens, published.tokens) for one in gates)
    return tuple(kept_to_itself(one, heard) for one in gates)


def _of_few(gate: Gate, tokens: int, published: int) -> Gate:
    """A gate that was passed on few tokens is no evidence of many where its question is what many take.

    Who is slow as long as it is looked at, by a count of its processes, could remember the answers to larger batches.
    """
    if gate.outcome is not Outcome.PASSED or gate.gate not in _OF_TIMES:
        return gate
    said = f"slow on the {published} tokens of the published shape, so that it was looked at on {tokens}"
    return gate.model_copy(update={"outcome": Outcome.MISTRUSTED, "message": said})


def _home_dtype(subject: Subject, running: Running) -> str:
    """The dtype a kernel is for: the subject's, or where nobody named that one the first that it does not decline."""
    for dtype in (subject.dtype, *DTYPE_BYTES) if subject.any_dtype else ():
        first = attempt(ask(probe_spec(subject.base, dtype)), running)[0]
        if not (first.declined or first.misfit):
            return dtype
    return subject.dtype


def _surveyed(
    subject: Subject, running: Running, declared: tuple[str, ...] | None, dtypes: Sequence[str], heard: list[Doing]
) -> Survey:
    required = subject.required() + find_options(dtypes, subject.base, subject.dtype)
    found = survey(
        running,
        subject.candidate,
        subject.dtype,
        looks=lambda specs: looked_at(subject.implementation, specs, subject.threads, heard),
        required=required,
        declared=None if declared is None else find_options(declared, subject.base, subject.dtype),
    )
    # What it took along while it was tried on what it is not for is not held against it.
    running.deaths = 0
    return found


def _all_cases(subject: Subject, profile: Profile, dtypes: Sequence[str]) -> list[CaseSpec]:
    """Every variant in every dtype; only the plain layer in smoke, and only the base where another was asked for."""
    whole = profile != "smoke"
    variants = (ALL_VARIANTS if whole else (PLAIN,)) if subject.base == PLAIN else (subject.base,)
    every = sorted(subject.implementation.dtypes) if whole and subject.base == PLAIN else [subject.dtype]
    return [spec for dtype in dtypes or every for spec in plan_cases(profile, dtype, SEED, variants)]


def _cases_of(found: Survey, profile: Profile) -> list[CaseSpec]:
    """The profile's cases of what is offered; in smoke only a few in dtypes beside the first."""
    first, *others = found.dtypes
    specs = list(plan_cases(profile, first, SEED, found.variants_of(first)))
    for dtype in others:
        variants = found.variants_of(dtype)
        specs += (
            brief_cases(dtype, SEED, variants) if profile == "smoke" else plan_cases(profile, dtype, SEED, variants)
        )
    return specs


def _case(subject: Subject, running: Running, spec: CaseSpec) -> Case:
    seconds = 0.0 if subject.ours else running.seconds(spec.workload.tokens)
    if seconds > LIMITS.seconds / 3:
        return too_slow(spec, subject.candidate, seconds)
    return check(spec, running, subject.candidate)


def _asked(subject: Subject, running: Running, specs: Sequence[CaseSpec], console: Console) -> tuple[Case, ...]:
    cases: list[Case] = []
    known = {spec.id for spec in specs}
    with step(console, "correctness cases", len(specs)) as shown:
        for spec in specs:
            cases.append(_case(subject, running, spec))
            # Who declines odd widths is asked the same of whole tiles: half of the checks come at odd widths alone.
            again = in_tiles(spec) if cases[-1].outcome is Outcome.NOT_SUPPORTED else None
            if again is not None and again.id not in known:
                known.add(again.id)
                cases.append(_case(subject, running, again))
            shown.note(spec.id)
            shown.advance()
            if running.deaths >= _MOST_DEATHS:
                name = subject.implementation.name
                console.print(f"  {name} took {running.deaths} processes along; the cases left are not run")
                break
    return tuple(cases)
