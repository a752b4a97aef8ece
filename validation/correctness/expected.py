"""The answers of a bank of tokens, with everything needed to judge an output without asking the oracle again.

A Mixture-of-Experts layer treats each token alone, so the answers of a batch drawn from the bank are the same rows of
the bank's answers, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from reference import oracle
from validation.correctness import bounds, legality, router_bounds
from validation.correctness.bounds import PRECISIONS, ExpertBound, Precision
from validation.correctness.legality import Router
from validation.correctness.oracle_layer import float64, oracle_layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from reference.oracle import Array, Ids, OracleLayer, RouterRule
    from validation.workloads.layer import Layer

#: Elements of one float64 array worked on at a time: 2^22 are 32 MB.
_CHUNK: Final = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Outputs [n, d] and their elementwise bounds; per row the `energy` and `coherent` mean squares.

    `energy` [n] is the mean square the row would have if its terms had random signs, `coherent` [n] that of the errors
    that do not average out; effective bits are judged by both. A bound is infinite where the dtype may overflow.
    """

    output: Array
    bound: Array
    energy: Array
    coherent: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The legal answers of one ambiguous token: what each expert that may be chosen puts out.

    `experts` [m], the shared one among them, their outputs [m, d] and bounds. `sets` are the legal sets, None when
    there are too many to list.
    """

    experts: NDArray[np.int64]
    outputs: Array
    random: Array
    coherent: Array
    energy: Array
    sets: tuple[tuple[int, ...], ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an honest kernel may answer for T tokens.

    `answers` are for the oracle's own routing; `choices` holds, by row, the tokens that may be routed otherwise.
    `exact` answers must be met bit by bit; with `exact_routing` the logits carry no error, so ties are exact ties.
    """

    dtype: str
    rule: RouterRule
    n_experts: int
    has_shared: bool
    answers: Answers
    router: Router
    choices: Mapping[int, Choices] = field(default_factory=dict)
    exact: bool = False
    exact_routing: bool = False

    @property
    def precision(self) -> Precision:
        """What the dtype's arithmetic allows."""
        return PRECISIONS[self.dtype]

    @property
    def slots(self) -> int:
        """How many experts a token passes, the shared one included."""
        return int(self.router.choice.shape[1]) + self.has_shared

    def rows(self, index: NDArray[np.int64]) -> Expected:
        """The answers of the batch `bank[index]`; takes about as long as gathering the output does."""
        index = np.asarray(index, dtype=np.int64)
        ambiguous = np.flatnonzero(self.router.ambiguous[index])
        return Expected(
            dtype=self.dtype,
            rule=self.rule,
            n_experts=self.n_experts,
            has_shared=self.has_shared,
            answers=_answer_rows(self.answers, index),
            router=_router_rows(self.router, index),
            choices={int(row): self.choices[int(index[row])] for row in ambiguous},
            exact=self.exact,
            exact_routing=self.exact_routing,
        )

    def forced(self, row: int, sets: tuple[tuple[int, ...], ...]) -> Answers:
        """The answers [len(sets), d] of one ambiguous token when routed to each of `sets`."""
        choices = self.choices[row]
        chosen = np.array(sets, dtype=np.int64)
        ids = _slots(chosen, self.n_experts, has_shared=self.has_shared)
        place = np.searchsorted(choices.experts, ids)
        found = np.take(choices.experts, place, mode="clip") == ids
        place = np.where(found, place, 0)
        # An expert that is not kept has a weight that vanishes: it adds nothing.
        present = found.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            answers = _mix(
                router=self.router,
                tokens=np.full(len(sets), row),
                ids=chosen,
                outputs=choices.outputs[place] * present[..., None],
                expert=ExpertBound(
                    random=choices.random[place] * present[..., None],
                    coherent=choices.coherent[place] * present[..., None],
                    energy=choices.energy[place] * present,
                ),
                precision=self.precision,
                rule=self.rule,
            )
        return _exactly(answers, self.dtype) if self.exact else answers


def expect(layer: Layer, x: torch.Tensor, *, exact: bool = False, exact_routing: bool = False) -> Expected:
    """Returns what an honest kernel may answer for tokens x [T, d] of the layer's dtype.

    `exact` states that every value on the way is an integer or a power of two small enough that no step rounds, but
    for the last one into the dtype: the answers are then the oracle's, rounded once, and have no bound to hide in.
    `exact_routing` states as much of the router's logits alone.
    """
    weights, tokens = oracle_layer(layer), float64(x)
    precision = PRECISIONS[layer.config.dtype]
    router_precision = PRECISIONS[layer.config.router_dtype]
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        router = legality.route(tokens, weights, router_precision, exact=exact or exact_routing)
        answers = _answers(tokens, weights, router, precision)
        choices = _choices(tokens, weights, router, precision)
    if exact:
        answers = _exactly(answers, layer.config.dtype)
    return Expected(
        dtype=layer.config.dtype,
        rule=weights.rule,
        n_experts=layer.config.n_experts,
        has_shared=weights.shared is not None,
        answers=answers,
        router=router,
        choices=choices,
        exact=exact,
        exact_routing=exact or exact_routing,
    )


def _exactly(answers: Answers, dtype: str) -> Answers:
    rounded = torch.from_numpy(answers.output).to(getattr(torch, dtype)).to(torch.float64).numpy()
    nothing = np.zeros_like(answers.coherent)
    return Answers(output=rounded, bound=np.zeros_like(rounded), energy=answers.energy, coherent=nothing)


def _answers(x: Array, layer: OracleLayer, router: Router, precision: Precision) -> Answers:
    """The answers for the oracle's routing, some tokens at a time."""
    tokens, d_model = x.shape
    top_k = layer.top_k
    step = max(1, _CHUNK // (top_k * d_model))
    parts = [
        _chunk(x, layer, router, np.arange(start, min(start + step, tokens)), precision)
        for start in range(0, max(tokens, 1), step)
    ]
    return Answers(
        output=np.concatenate([part.output for part in parts]),
        bound=np.concatenate([part.bound for part in parts]),
        energy=np.concatenate([part.energy for part in parts]),
        coherent=np.concatenate([part.coherent for part in parts]),
    )


def _chunk(x: Array, layer: OracleLayer, router: Router, tokens: NDArray[np.int64], precision: Precision) -> Answers:
    chosen = router.choice[tokens]
    ids = _slots(chosen, layer.w1.shape[0], has_shared=layer.shared is not None)
    slots = (*ids.shape, x.shape[1])
    outputs, random, coherent, energy = np.empty(slots), np.empty(slots), np.empty(slots), np.empty(ids.shape)
    for expert in np.unique(ids):
        row, slot = np.nonzero(ids == expert)
        for part, output, bound in _evaluated(x[tokens[row]], layer, int(expert), precision):
            at = row[part], slot[part]
            outputs[at], random[at], coherent[at], energy[at] = output, bound.random, bound.coherent, bound.energy
    return _mix(
        router=router,
        tokens=tokens,
        ids=chosen,
        outputs=outputs,
        expert=ExpertBound(random=random, coherent=coherent, energy=energy),
        precision=precision,
        rule=layer.rule,
    )


def _slots(ids: Ids, n_experts: int, *, has_shared: bool) -> Ids:
    """The experts [n, k] each token passes, and the shared one in a column of its own, numbered after all others."""
    if not has_shared:
        return ids
    return np.concatenate([ids, np.full((len(ids), 1), n_experts, dtype=np.int64)], axis=1)


def _evaluated(
    x: Array, layer: OracleLayer, expert: int, precision: Precision
) -> Iterator[tuple[slice, Array, ExpertBound]]:
    """One expert's outputs and bounds, so many tokens at a time that hidden values fit in _CHUNK."""
    if expert == layer.w1.shape[0]:
        assert layer.shared is not None
        layer, expert = layer.shared, 0
    step = max(1, _CHUNK // layer.w1.shape[2])
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        trace = oracle.expert_trace(x[part], layer, expert)
        yield part, trace.output, bounds.expert_bound(x[part], layer, expert, trace, precision)


def _choices(x: Array, layer: OracleLayer, router: Router, precision: Precision) -> dict[int, Choices]:
    """What the experts an ambiguous token may be sent to put out for it, evaluated expert by expert."""
    rows = np.flatnonzero(router.ambiguous)
    sets = {int(row): legality.legal_sets(router, int(row)) for row in rows}
    listed = {row: None if found is None else tuple(found) for row, found in sets.items()}
    shared = [] if layer.shared is None else [layer.w1.shape[0]]
    wanted = {row: _experts(router, row, found) + shared for row, found in listed.items()}
    asking: dict[int, list[int]] = {}
    for row, experts in wanted.items():
        for expert in experts:
            asking.setdefault(expert, []).append(row)
    d_model = x.shape[1]
    kept = {row: _blank(len(experts), d_model) for row, experts in wanted.items()}
    for expert, tokens in asking.items():
        for part, output, bound in _evaluated(x[tokens], layer, expert, precision):
            for position, row in enumerate(tokens[part]):
                outputs, random, coherent, energy = kept[row]
                place = wanted[row].index(expert)
                outputs[place], random[place] = output[position], bound.random[position]
                coherent[place], energy[place] = bound.coherent[position], bound.energy[position]
    return {
        row: Choices(
            experts=np.array(wanted[row], dtype=np.int64),
            outputs=outputs,
            random=random,
            coherent=coherent,
            energy=energy,
            sets=listed[row],
        )
        for row, (outputs, random, coherent, energy) in kept.items()
    }


def _experts(router: Router, row: int, sets: tuple[tuple[int, ...], ...] | None) -> list[int]:
    """The experts whose answers a token's judgement may need, in order of id; those of vanishing weight are not."""
    if sets is not None:
        return sorted({expert for chosen in sets for expert in chosen})
    if router.group_lowest.shape[1] > 1:
        return list(range(router.logits.shape[1]))
    boundary = np.sort(router.lowest[row])[::-1][router.choice.shape[1] - 1]
    living = router.lowest[row] > -np.inf
    return [int(expert) for expert in np.flatnonzero(living & (router.highest[row] >= boundary))]


def _blank(experts: int, d_model: int) -> tuple[Array, Array, Array, Array]:
    return (
        np.zeros((experts, d_model)),
        np.zeros((experts, d_model)),
        np.zeros((experts, d_model)),
        np.zeros(experts),
    )


def _mix(  # noqa: PLR0913 -- one step of the layer, with all that it depends on
    *,
    router: Router,
    tokens: NDArray[np.int64],
    ids: Ids,
    outputs: Array,
    expert: ExpertBound,
    precision: Precision,
    rule: RouterRule,
) -> Answers:
    """The weighted sum over slots of `outputs` [n, slots, d], and its bound; a slot beyond those of `ids` has weight 1.

    Per slot: weight times the output's error, the weight's error times the output, a rounding of the product. Slots'
    errors are independent, so above lambda^2 slots they add as squares. Then the sum's own roundings, one where the
    output is stored, and tiny.
    """
    weights, off, typical = router_bounds.weights_and_bounds(router, tokens, ids, precision, rule)
    slots = outputs.shape[1]
    if slots > ids.shape[1]:
        # The shared expert's weight is not computed, so it carries no error.
        unweighted = np.zeros((len(ids), 1))
        weights = np.concatenate([weights, unweighted + 1.0], axis=1)
        off, typical = (np.concatenate([error, unweighted], axis=1) for error in (off, typical))
    weight, off, typical = weights[..., None], off[..., None], typical[..., None]
    size = np.abs(outputs)
    # A weight of 0 does not save an overflow: 0 * inf is NaN.
    slot_error = np.where(np.isinf(expert.random), np.inf, weight * expert.random)
    slot_error += off * (size + expert.random + expert.coherent)
    slot_error += precision.store * weight * size
    if slots < bounds.LAMBDA**2:
        random = slot_error.sum(axis=1)
    else:
        random = bounds.LAMBDA * np.sqrt(np.square(slot_error).sum(axis=1))
    output = (weight * outputs).sum(axis=1)
    if slots > 1:
        random += bounds.probable(slots, precision.store) * (weight * size).sum(axis=1)
    # Each product and each partial sum may be off by half of `tiny`.
    random += precision.store * np.abs(output) + precision.tiny * (1.0 + min(slots, bounds.LAMBDA * slots**0.5))
    random[(weight * size).sum(axis=1) > precision.largest] = np.inf
    coherent = (weight * expert.coherent).sum(axis=1)
    lasting = coherent + (typical * size).sum(axis=1)
    return Answers(
        output=output,
        bound=random + coherent,
        energy=(np.square(weights) * expert.energy).sum(axis=1),
        coherent=np.square(lasting).mean(axis=1),
    )


def _answer_rows(answers: Answers, index: NDArray[np.int64]) -> Answers:
    return Answers(**{name.name: getattr(answers, name.name)[index] for name in fields(answers)})


def _router_rows(router: Router, index: NDArray[np.int64]) -> Router:
    return Router(**{name.name: getattr(router, name.name)[index] for name in fields(router)})
