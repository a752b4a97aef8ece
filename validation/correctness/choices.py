"""The answers of a token that may be routed in more than one way: what each expert puts out for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from validation.correctness import legality
from validation.correctness.answers import evaluated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reference.oracle import Array, OracleLayer
    from validation.correctness.bounds import Precision
    from validation.correctness.legality import Router


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


def find_choices(x: Array, layer: OracleLayer, router: Router, precision: Precision) -> dict[int, Choices]:
    """Returns by row what the experts put out that an ambiguous token may be sent to, evaluated expert by expert."""
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
        for part, output, bound in evaluated(x[tokens], layer, expert, precision):
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
