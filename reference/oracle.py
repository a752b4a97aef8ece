"""The oracle: the layer in float64, as plainly as it can be written.

For correctness only, never a speed baseline. Every array is float64 and holds the *rounded* inputs, so that a
difference from a candidate is the candidate's arithmetic and not its input's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[np.float64]
Ids = NDArray[np.int64]


def _relu(z: Array) -> Array:
    return np.maximum(z, 0.0)


def _gelu(z: Array) -> Array:
    normal_cdf: Array = 0.5 * (1.0 + erf(z / np.sqrt(2.0)))
    return z * normal_cdf


def _gelu_tanh(z: Array) -> Array:
    gate: Array = 0.5 * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (z + 0.044715 * z**3)))
    return z * gate


def _silu(z: Array) -> Array:
    # exp of a positive argument overflows to inf, and z / inf is the limit, -0.
    with np.errstate(over="ignore"):
        return z / (1.0 + np.exp(-z))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": _relu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterRule:
    """How logits become a choice of experts and their weights.

    `kind` softmax: over all experts, then the best k, whose weights sum to 1 where `renormalize`. topk_softmax: the
    best k logits, then softmax over those alone; in exact arithmetic the same as softmax renormalised. sigmoid: the
    best k by sigmoid of the logit plus a correction bias, weighted by the sigmoid alone, from the `top_groups` best of
    `n_groups` groups of neighbouring experts, a group being worth the sum of its two best (DeepSeek-V3, arXiv
    2412.19437, equations 12 to 16, and its model.py). Weights are multiplied by `scaling` at last.
    """

    kind: str = "softmax"
    renormalize: bool = True
    scaling: float = 1.0
    n_groups: int = 1
    top_groups: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleLayer:
    """The layer in float64: router [d, E], w1 and w_gate [E, d, f], w2 [E, f, d], biases [E], [E, f] and [E, d].

    `shared` is a layer of one expert, which every token passes with weight 1.
    """

    router: Array
    w1: Array
    w2: Array
    top_k: int
    activation: str = "relu"
    rule: RouterRule = RouterRule()
    router_bias: Array | None = None
    correction_bias: Array | None = None
    b1: Array | None = None
    b2: Array | None = None
    w_gate: Array | None = None
    shared: OracleLayer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertTrace:
    """One expert on n tokens, step by step.

    `pre` [n, f] goes into the activation when there is no gate; with one, `gate_pre` [n, f] does, and the result is
    multiplied by `pre`. `hidden` [n, f] goes into the second matmul, `output` [n, d] comes out of it.
    """

    pre: Array
    gate_pre: Array | None
    hidden: Array
    output: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the layer answers: output [T, d], chosen expert ids [T, k] and their weights [T, k]."""

    output: Array
    ids: Ids
    weights: Array


def router_logits(x: Array, layer: OracleLayer) -> Array:
    """Logits [T, E] of tokens x [T, d]."""
    logits = x @ layer.router
    return logits if layer.router_bias is None else logits + layer.router_bias


def softmax(logits: Array) -> Array:
    """Probabilities over the last axis."""
    shifted: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    total: Array = shifted.sum(axis=-1, keepdims=True)
    return shifted / total


def top_k(logits: Array, k: int) -> Ids:
    """The k experts of the largest logits [T, k], largest first, ties to the lowest id."""
    return np.argsort(-logits, axis=-1, kind="stable")[:, :k]


def choice_scores(logits: Array, layer: OracleLayer) -> Array:
    """What experts are ordered by [T, E]: the logits, or a sigmoid router's scores with their correction."""
    if layer.rule.kind != "sigmoid":
        return logits
    scores: Array = expit(logits)
    return scores if layer.correction_bias is None else scores + layer.correction_bias


def group_scores(scores: Array, n_groups: int) -> Array:
    """What groups are ordered by [T, n_groups]: the sum of the two best scores of each, or the only one."""
    grouped = scores.reshape(len(scores), n_groups, scores.shape[1] // n_groups)
    best: Array = np.sort(grouped, axis=-1)[..., -2:].sum(axis=-1)
    return best


def within(scores: Array, groups: Ids, n_groups: int) -> Array:
    """The scores [T, E] of the experts of each token's groups [T, m]; those of all others are -inf."""
    is_open = np.zeros((len(scores), n_groups), dtype=bool)
    np.put_along_axis(is_open, groups, values=True, axis=1)
    return np.where(np.repeat(is_open, scores.shape[1] // n_groups, axis=1), scores, -np.inf)


def choose(logits: Array, layer: OracleLayer) -> Ids:
    """The chosen experts [T, k], best first; ties, of groups too, go to the lowest id."""
    rule, scores = layer.rule, choice_scores(logits, layer)
    if rule.top_groups < rule.n_groups:
        groups = top_k(group_scores(scores, rule.n_groups), rule.top_groups)
        scores = within(scores, groups, rule.n_groups)
    return top_k(scores, layer.top_k)


def gate_weights(logits: Array, ids: Ids, rule: RouterRule) -> Array:
    """Weights [T, k] of the chosen experts; see `RouterRule`.

    Softmax probabilities renormalised over a set are the softmax over that set's logits alone, which is how they are
    computed here: it stays exact where the probability of every expert forced into the set underflows.
    """
    chosen = np.take_along_axis(logits, ids, axis=-1)
    if rule.kind == "sigmoid":
        weights: Array = expit(chosen)
        if rule.renormalize:
            weights /= weights.sum(axis=-1, keepdims=True)
    elif rule.renormalize or rule.kind == "topk_softmax":
        weights = softmax(chosen)
    else:
        weights = np.take_along_axis(softmax(logits), ids, axis=-1)
    return weights * rule.scaling


def expert_shares(logits: Array, rule: RouterRule) -> Array:
    """How the router spreads each token over all experts [T, E]: rows of softmax or of sigmoid, summing to 1."""
    if rule.kind != "sigmoid":
        return softmax(logits)
    scores: Array = expit(logits)
    total: Array = scores.sum(axis=-1, keepdims=True)
    return scores / total


def balance_loss(logits: Array, ids: Ids, rule: RouterRule) -> float:
    """The load-balancing loss `E sum_e f_e P_e` of a batch.

    f_e is the number of the batch's (token, slot) pairs that chose expert e, over T; P_e the mean share the router gave
    it. For k = 1 it is 1 when both are uniform (Switch Transformer, arXiv 2101.03961, equations 4 to 6, with
    alpha = 1), in general k (Mixtral's, as load_balancing_loss_func of Hugging Face transformers has it). No tokens
    have no loss: 0.
    """
    tokens, experts = logits.shape
    if tokens == 0:
        return 0.0
    chosen = np.bincount(ids.ravel(), minlength=experts) / tokens
    return float(experts * (chosen @ expert_shares(logits, rule).mean(axis=0)))


def expert_trace(x: Array, layer: OracleLayer, expert: int) -> ExpertTrace:
    """One expert on tokens x [n, d]: `act(x w1 + b1) w2 + b2`, or `(act(x w_gate) * (x w1 + b1)) w2 + b2`."""
    pre = x @ layer.w1[expert]
    if layer.b1 is not None:
        pre += layer.b1[expert]
    activate = ACTIVATIONS[layer.activation]
    gate_pre = None if layer.w_gate is None else x @ layer.w_gate[expert]
    hidden = activate(pre) if gate_pre is None else activate(gate_pre) * pre
    output = hidden @ layer.w2[expert]
    if layer.b2 is not None:
        output += layer.b2[expert]
    return ExpertTrace(pre=pre, gate_pre=gate_pre, hidden=hidden, output=output)


def forward(x: Array, layer: OracleLayer, ids: Ids | None = None) -> Answer:
    """The layer on tokens x [T, d], with its own routing or forced onto the given expert ids [T, k]."""
    with np.errstate(invalid="ignore"):  # a NaN in x is answered by NaN in its row
        logits = router_logits(x, layer)
        if ids is None:
            ids = choose(logits, layer)
        weights = gate_weights(logits, ids, layer.rule)
        output = np.zeros_like(x)
        for expert in np.unique(ids):
            token, slot = np.nonzero(ids == expert)
            # A token holds an expert once, so no row of `output` is added to twice in one statement.
            output[token] += weights[token, slot, None] * expert_trace(x[token], layer, int(expert)).output
        if layer.shared is not None:
            output += expert_trace(x, layer.shared, 0).output
    return Answer(output=output, ids=ids, weights=weights)
