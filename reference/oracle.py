"""The oracle: the layer in float64, as plainly as it can be written.

For correctness only, never a speed baseline. Every array is float64 and holds the *rounded* inputs, so that a
difference from a candidate is the candidate's arithmetic and not its input's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

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
class OracleLayer:
    """The layer in float64: router [d, E], w1 and w_gate [E, d, f], w2 [E, f, d], biases [E], [E, f] and [E, d]."""

    router: Array
    w1: Array
    w2: Array
    top_k: int
    activation: str = "relu"
    renormalize: bool = True
    router_bias: Array | None = None
    b1: Array | None = None
    b2: Array | None = None
    w_gate: Array | None = None


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


def gate_weights(logits: Array, ids: Ids, *, renormalize: bool) -> Array:
    """Weights [T, k] of the chosen experts: their softmax probabilities, renormalised to sum 1 where asked.

    Probabilities renormalised over a set are the softmax over that set's logits alone, which is how they are computed
    here: it stays exact where the probability of every expert forced into the set underflows.
    """
    if renormalize:
        return softmax(np.take_along_axis(logits, ids, axis=-1))
    return np.take_along_axis(softmax(logits), ids, axis=-1)


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
            ids = top_k(logits, layer.top_k)
        weights = gate_weights(logits, ids, renormalize=layer.renormalize)
        output = np.zeros_like(x)
        for expert in np.unique(ids):
            token, slot = np.nonzero(ids == expert)
            # A token holds an expert once, so no row of `output` is added to twice in one statement.
            output[token] += weights[token, slot, None] * expert_trace(x[token], layer, int(expert)).output
    return Answer(output=output, ids=ids, weights=weights)
