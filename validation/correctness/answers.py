"""The answers of a batch, for the routing that was chosen: outputs, and how far each may be off."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from reference import oracle
from validation.correctness import bounds, router_bounds
from validation.correctness.bounds import ExpertBound
from validation.cpu import available_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from reference.oracle import Array, Ids, OracleLayer, RouterRule
    from validation.correctness.bounds import Precision
    from validation.correctness.legality import Router

#: Elements of one float64 array of outputs that is worked on at a time: 2^22 are 32 MB.
_CHUNK: Final = 1 << 22

#: And of hidden values: 2^18 are 2 MB, what a core's L2 holds. An expert is worked out for so many tokens at a time,
#: for d_model at least, since its weights are gone through each time too.
_PART: Final = 1 << 18


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


def answer(x: Array, layer: OracleLayer, router: Router, precision: Precision) -> Answers:
    """Returns the answers [T, d] for the oracle's routing, worked out some tokens at a time."""
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
    ids = slots_of(chosen, layer.w1.shape[0], has_shared=layer.shared is not None)
    slots = (*ids.shape, x.shape[1])
    outputs, random, coherent, energy = np.empty(slots), np.empty(slots), np.empty(slots), np.empty(ids.shape)

    def work_out(expert: int) -> None:
        row, slot = np.nonzero(ids == expert)
        # A thread of a pool does not inherit what the caller told NumPy to ignore.
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            for part, output, bound in evaluated(x[tokens[row]], layer, expert, precision):
                at = row[part], slot[part]
                outputs[at], random[at], coherent[at], energy[at] = output, bound.random, bound.coherent, bound.energy

    _blas_on_one_thread()
    with ThreadPoolExecutor(len(available_cores())) as pool:
        list(pool.map(work_out, np.unique(ids).tolist()))
    return mix(
        router=router,
        tokens=tokens,
        ids=chosen,
        outputs=outputs,
        expert=ExpertBound(random=random, coherent=coherent, energy=energy),
        precision=precision,
        rule=layer.rule,
    )


@cache
def _blas_on_one_thread() -> None:
    """Takes the cores from BLAS, for experts: most of an answer's time goes into passes over arrays.

    4096 tokens of the published shape take 1.03 s on two cores where BLAS alone has threads, 0.50 to 0.62 so, and 0.90
    where both have. For as long as the process lives: what limited BLAS for a while would be undone by whoever else did
    so at that time.
    """
    threadpool_limits(1, user_api="blas")


def slots_of(ids: Ids, n_experts: int, *, has_shared: bool) -> Ids:
    """Returns the experts [n, k] each token passes; a shared one has a column of its own, and the next number."""
    if not has_shared:
        return ids
    return np.concatenate([ids, np.full((len(ids), 1), n_experts, dtype=np.int64)], axis=1)


def evaluated(
    x: Array, layer: OracleLayer, expert: int, precision: Precision
) -> Iterator[tuple[slice, Array, ExpertBound]]:
    """Yields one expert's outputs and bounds, some tokens at a time."""
    if expert == layer.w1.shape[0]:
        assert layer.shared is not None
        layer, expert = layer.shared, 0
    step = max(layer.w1.shape[1], _PART // layer.w1.shape[2])
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        trace = oracle.expert_trace(x[part], layer, expert)
        yield part, trace.output, bounds.expert_bound(x[part], layer, expert, trace, precision)


def mix(  # noqa: PLR0913 -- one step of the layer, with all that it depends on
    *,
    router: Router,
    tokens: NDArray[np.int64],
    ids: Ids,
    outputs: Array,
    expert: ExpertBound,
    precision: Precision,
    rule: RouterRule,
) -> Answers:
    """Returns the weighted sum over slots of `outputs` [n, slots, d]; a slot beyond those of `ids` has weight 1.

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


def exactly(answers: Answers, dtype: str) -> Answers:
    """Returns the answers rounded once, into `dtype`, and without a bound to hide in."""
    rounded = torch.from_numpy(answers.output).to(getattr(torch, dtype)).to(torch.float64).numpy()
    nothing = np.zeros_like(answers.coherent)
    return Answers(output=rounded, bound=np.zeros_like(rounded), energy=answers.energy, coherent=nothing)
