"""The answers of a bank of tokens, with everything needed to judge an output without asking the oracle again.

A Mixture-of-Experts layer treats each token alone, so the answers of a batch drawn from the bank are the same rows of
the bank's answers, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from validation.correctness import legality
from validation.correctness.answers import Answers, answer, exactly, mix, slots_of
from validation.correctness.bounds import PRECISIONS, ExpertBound, Precision
from validation.correctness.choices import find_choices
from validation.correctness.legality import Router
from validation.correctness.oracle_layer import float64, oracle_layer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from numpy.typing import NDArray

    from reference.oracle import OracleLayer, RouterRule
    from validation.correctness.choices import Choices
    from validation.workloads.layer import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an honest kernel may answer for T tokens.

    `answers` are for the oracle's own routing; `choices` holds, by row, the tokens that may be routed otherwise.
    `terms` are those of a token's two sums, d_model + d_ff. `exact` answers must be met bit by bit; with
    `exact_routing` the logits carry no error, so ties are exact ties.
    """

    dtype: str
    rule: RouterRule
    n_experts: int
    has_shared: bool
    terms: int
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
            terms=self.terms,
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
        ids = slots_of(chosen, self.n_experts, has_shared=self.has_shared)
        place = np.searchsorted(choices.experts, ids)
        found = np.take(choices.experts, place, mode="clip") == ids
        place = np.where(found, place, 0)
        # An expert that is not kept has a weight that vanishes: it adds nothing.
        present = found.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            answers = mix(
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
        return exactly(answers, self.dtype) if self.exact else answers


def expect(
    layer: Layer,
    x: torch.Tensor,
    *,
    exact: bool = False,
    exact_routing: bool = False,
    weights: OracleLayer | None = None,
) -> Expected:
    """Returns what an honest kernel may answer for tokens x [T, d] of the layer's dtype.

    `weights` are `oracle_layer(layer)`, for those who ask more than once: eight experts of 1024 x 4096 are 537 MB.

    `exact` states that every value on the way is an integer or a power of two small enough that no step rounds, but
    for the last one into the dtype: the answers are then the oracle's, rounded once, and have no bound to hide in.
    `exact_routing` states as much of the router's logits alone.
    """
    weights, tokens = weights or oracle_layer(layer), float64(x)
    precision = PRECISIONS[layer.config.dtype]
    router_precision = PRECISIONS[layer.config.router_dtype]
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        router = legality.route(tokens, weights, router_precision, exact=exact or exact_routing)
        answers = answer(tokens, weights, router, precision)
        choices = find_choices(tokens, weights, router, precision)
    if exact:
        answers = exactly(answers, layer.config.dtype)
    return Expected(
        dtype=layer.config.dtype,
        rule=weights.rule,
        n_experts=layer.config.n_experts,
        has_shared=weights.shared is not None,
        terms=layer.config.d_model + max(layer.config.d_ff, layer.config.shared_d_ff),
        answers=answers,
        router=router,
        choices=choices,
        exact=exact,
        exact_routing=exact or exact_routing,
    )


def _answer_rows(answers: Answers, index: NDArray[np.int64]) -> Answers:
    return Answers(**{name.name: getattr(answers, name.name)[index] for name in fields(answers)})


def _router_rows(router: Router, index: NDArray[np.int64]) -> Router:
    return Router(**{name.name: getattr(router, name.name)[index] for name in fields(router)})
