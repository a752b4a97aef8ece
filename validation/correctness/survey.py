"""What a kernel offers beside the layer it is for: every option is tried once, and what came of it is told.

An option is offered when the kernel deals with it rightly, and then asked in earnest. It is declined when the kernel
raises, and not offered when the kernel never looks at it and answers as if it were not there: silently wrong for who
wants it, but no fault of a kernel that was never meant for it. Whatever else comes is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import torch

from validation.correctness.attempt import attempt
from validation.correctness.case import Case, Outcome
from validation.correctness.compare import compare
from validation.correctness.expected import expect
from validation.correctness.judge import judge
from validation.correctness.material import draw
from validation.correctness.option import combined, options_beside, without
from validation.correctness.question import ask
from validation.correctness.spec import CaseSpec, Check
from validation.record import Record
from validation.workloads.layer import LayerConfig
from validation.workloads.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from validation.correctness.attempt import Attempt, Run
    from validation.correctness.judge import Candidate
    from validation.correctness.option import Option
    from validation.correctness.spec import LayerVariant

#: A friendly layer: whole tiles, several tokens for each expert, a call of some ms for plain Python.
_TOKENS: Final = 40
_SHAPE: Final = LayerConfig(d_model=64, d_ff=96, n_experts=8, top_k=2)

#: A kernel written for one dtype misreads another's bits. Signs survive in every second element, so that its output may
#: still correlate a little with the answer; that of a kernel which loses one expert of eight correlates by 0.9.
_UNRELATED: Final = 0.5

#: After so many processes taken along, what is left is not tried.
_MOST_DEATHS: Final = 3


class Standing(StrEnum):
    """What came of an option."""

    OFFERED = "offered"
    DECLINED = "declined"
    NOT_OFFERED = "not_offered"


class Offer(Record):
    """An option of the layer, and whether the kernel deals with it; `reason` says why not."""

    option: str
    standing: Standing
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is asked of a kernel in earnest: `variants`, the base first, in each of `dtypes`, and what is not.

    `cases` are those by which it was found out; `declined` are the pairs of dtype and variant that go without.
    """

    offers: tuple[Offer, ...]
    dtypes: tuple[str, ...]
    variants: tuple[LayerVariant, ...]
    declined: frozenset[tuple[str, LayerVariant]]
    cases: tuple[Case, ...]

    def variants_of(self, dtype: str) -> tuple[LayerVariant, ...]:
        """Returns the variants asked in a dtype."""
        return tuple(variant for variant in self.variants if (dtype, variant) not in self.declined)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    case: Case
    done: Attempt


def probe_spec(variant: LayerVariant, dtype: str) -> CaseSpec:
    """Returns the case by which a variant is tried."""
    layer = variant.of(replace(_SHAPE, dtype=dtype))
    return CaseSpec(check=Check.RANDOM, workload=Workload(name="probe", tokens=_TOKENS, layer=layer))


def survey(  # noqa: PLR0913 -- what may be known of a kernel beforehand
    run: Run,
    candidate: Candidate,
    dtype: str,
    *,
    looks: Callable[[Sequence[CaseSpec]], frozenset[str]],
    required: Sequence[Option] = (),
    declared: Sequence[Option] | None = None,
) -> Survey:
    """Tries every option beside the layer the candidate is for, `candidate.required` in `dtype`.

    `looks` tells which fields of the layer the kernel looks at when it is asked these cases. The `required` options,
    and those that the kernel itself declares, must be dealt with; with a declaration, no others are tried.
    """
    base = candidate.required
    options = options_beside(base, dtype)
    probe = _Probe(run, candidate)
    first = probe.try_one(base, dtype)
    if first.case.outcome is Outcome.FAILED:
        reason = "not tried: the layer it is for comes out wrong"
        if first.done.refused:
            reason = "not tried: it raises for the layer it is asked for (--workload names another)"
        offers = tuple(Offer(option=one.name, standing=Standing.NOT_OFFERED, reason=reason) for one in options)
        return Survey(offers=offers, dtypes=(dtype,), variants=(base,), declined=frozenset(), cases=(first.case,))
    held = {*required, *(declared or ())}
    tried = [option for option in options if declared is None or option in held]
    seen = looks([probe_spec(option.of(base), option.dtype or dtype) for option in tried])
    found = {option: probe.standing(option, dtype, seen, required=option in held) for option in tried}
    unsaid = Offer(option="", standing=Standing.NOT_OFFERED, reason="its declaration does not name it")
    offers = tuple(found.get(option, unsaid).model_copy(update={"option": option.name}) for option in options)
    offered = [option for option, offer in found.items() if offer.standing is Standing.OFFERED]
    dtypes = (dtype, *(option.dtype for option in offered if option.dtype))
    variants = combined(base, offered, seen)
    declined = frozenset(
        (other, variant) for other in dtypes for variant in variants if not probe.answers(variant, other)
    )
    return Survey(offers=offers, dtypes=dtypes, variants=variants, declined=declined, cases=tuple(probe.cases.values()))


class _Probe:
    """Tries variants, each once, and keeps the cases."""

    def __init__(self, run: Run, candidate: Candidate) -> None:
        self._run = run
        self._candidate = candidate
        self._deaths = 0
        self.cases: dict[tuple[LayerVariant, str], Case] = {}

    def try_one(self, variant: LayerVariant, dtype: str) -> _Tried:
        spec = probe_spec(variant, dtype)
        question = ask(spec)
        attempts = attempt(question, self._run)
        case = judge(spec, question, attempts, self._candidate)
        self.cases[variant, dtype] = case
        self._deaths += attempts[0].died
        return _Tried(case=case, done=attempts[0])

    def standing(self, option: Option, dtype: str, looks: frozenset[str], *, required: bool) -> Offer:
        """Tries an option; its case says `not_supported` where it is neither dealt with nor wrong."""
        base = self._candidate.required
        if self._deaths >= _MOST_DEATHS and not required:
            reason = f"not tried: {self._deaths} processes were taken along before"
            return Offer(option=option.name, standing=Standing.NOT_OFFERED, reason=reason)
        variant, other = option.of(base), option.dtype or dtype
        tried = self.try_one(variant, other)
        if tried.case.outcome in {Outcome.PASSED, Outcome.MISTRUSTED}:
            return Offer(option=option.name, standing=Standing.OFFERED)
        if tried.done.out is None and (tried.done.refused or not option.looks & looks):
            standing = Standing.DECLINED if tried.done.refused else Standing.NOT_OFFERED
            found = Offer(option=option.name, standing=standing, reason=tried.done.raised)
        elif option.looks & looks or tried.done.out is None:
            found = Offer(option=option.name, standing=Standing.OFFERED)
        elif option.dtype and _unrelated(probe_spec(variant, other), tried.done.out):
            reason = f"what it returns for {option.dtype} has nothing to do with the layer"
            found = Offer(option=option.name, standing=Standing.NOT_OFFERED, reason=reason)
        elif not option.dtype and self._answers_as(without(variant, base, looks), variant, dtype, tried.done.out):
            reason = f"it never looks at {' or '.join(sorted(option.looks))}, and answers as if that were not there"
            found = Offer(option=option.name, standing=Standing.NOT_OFFERED, reason=reason)
        else:
            found = Offer(option=option.name, standing=Standing.OFFERED)
        if required or found.standing is Standing.OFFERED:
            # The case stands as it came out: wrong.
            failed = tried.case.model_copy(update={"outcome": Outcome.FAILED})
            self.cases[variant, other] = failed.model_copy(update={"message": failed.message or found.reason})
        else:
            unasked = {"outcome": Outcome.NOT_SUPPORTED, "message": found.reason, "worst": None, "effective_bits": None}
            self.cases[variant, other] = tried.case.model_copy(update=unasked)
        return found

    def answers(self, variant: LayerVariant, dtype: str) -> bool:
        """Whether a variant is answered at all, right or wrong; taking the process along is no refusal."""
        if (variant, dtype) not in self.cases:
            tried = self.try_one(variant, dtype)
            if tried.done.refused:
                declined = {"outcome": Outcome.NOT_SUPPORTED, "message": tried.done.raised}
                self.cases[variant, dtype] = tried.case.model_copy(update=declined)
        return self.cases[variant, dtype].outcome is not Outcome.NOT_SUPPORTED

    @staticmethod
    def _answers_as(stripped: LayerVariant, asked: LayerVariant, dtype: str, out: torch.Tensor) -> bool:
        """Whether an output is right for the layer with fewer options: its other tensors are the same numbers."""
        if stripped == asked:
            return False
        layer, x = draw(probe_spec(stripped, dtype))
        return compare(expect(layer, x), out).passed


def _unrelated(spec: CaseSpec, out: torch.Tensor) -> bool:
    """Whether an output is not finite, or hardly correlates with the answer, as none does that is constant."""
    layer, x = draw(spec)
    answer, values = torch.from_numpy(expect(layer, x).answers.output).flatten(), out.double().flatten()
    if not bool(torch.isfinite(values).all()):
        return True
    return abs(float(torch.nn.functional.cosine_similarity(answer, values, dim=0))) < _UNRELATED
