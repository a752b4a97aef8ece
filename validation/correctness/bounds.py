"""How far an honest kernel may be from the oracle: a forward error bound for every output element.

Notation. u is the unit roundoff of the accumulator, s that of the dtype values are stored in between steps, n the
length of a sum. A computed inner product of length n differs from the exact one by at most

    gamma * sum |a_i| |b_i|,   gamma = n u / (1 - n u)                                        (certain)

whatever the order of summation (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1). Rounding
errors that are independent and of mean zero give, with probability at least 1 - 2 exp(-lambda^2 / 2) for each sum,

    gamma = lambda sqrt(n) u                                                                   (probable)

(Higham and Mary, SIAM J. Sci. Comput. 41(5), 2019, theorem 2.4; Ipsen and Zhou, arXiv 1906.10465, theorem 4.8).
LAMBDA = 4 would be 6.7e-4 were every error as large as u; being uniform they are u / sqrt(3), so 4 stands for 6.9
deviations. Error in a sum is u times the sum of its partial sums, so for terms of both signs, whose partial sums grow
as sqrt(i), `probable` holds even for roundings that all go one way, as those of a truncating tensor core do. It fails
for terms of one sign, whose partial sums grow as i and whose roundings may agree (adding the same number again and
again does so through a whole binade): those need `certain`. What tells them apart is |sum a b| / sum |a b|, so each
element gets the larger of `probable * sum |a b|` and `certain * |sum a b|`, and never more than `certain * sum |a b|`.
Mixed precision as Blanchard, Higham, Lopez, Mary and Pranesh, SIAM J. Sci. Comput. 42(3), 2020: products of 16-bit
numbers are exact in float32, accumulation is float32, and tensor cores may truncate, which is 2 u.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from reference.oracle import Array, ExpertTrace, OracleLayer

#: Deviations of the probabilistic bound; see above.
LAMBDA: Final = 4.0

#: Largest slope of each activation: silu' peaks at 1.0998 (z = 2.4), gelu' at 1.1289 (z = sqrt 2), the tanh form's the
#: same to three digits.
SLOPES: Final = {"relu": 1.0, "silu": 1.1, "gelu": 1.13, "gelu_tanh": 1.13}

#: Units of u |z| an activation may be off in its own evaluation. 1 + erf cancels for negative z, which leaves an error
#: of the order of u |z|; erf, tanh and exp of vector libraries are good to 1 to 4 units.
EVALUATION_UNITS: Final = 8.0

#: Values below the least normal float32 may be flushed to zero, on input and on output.
FLUSH: Final = 2.0**-126


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What the arithmetic of a dtype allows.

    `accumulate` is the unit roundoff of sums, `store` that of values kept between steps. `tiny` is the absolute error
    of storing a value near zero: a subnormal's spacing in float16, a flush to zero in the others. `bits` is the
    least effective bits, -log2(rms error / rms reference), of the whole output. Beyond `largest` a stored value is
    infinite: no bound holds for what is computed from it.
    """

    accumulate: float
    store: float
    tiny: float
    bits: float
    largest: float


#: `bits`. One rounding to p bits has relative rms 0.425 * 2^-p (uniform error, mantissas spread as 1/m). A kernel that
#: stores pre-activation, activation, expert output, gate weight, product, partial sum and output rounds m <= 10 times:
#: p + 1.2 - log2(m) / 2 >= p - 0.5 bits. The gate is p - 2: 6 and 9, which the next dtype below (bfloat16 in float16's
#: place 7.8, 8-bit floats in bfloat16's 4.8) misses. In float32 sums of 1100 terms leave 21 bits, three TF32 products
#: 20, three bfloat16 ones 17.2, weights of 16 bits 16.7, TF32 and float16 10.8. The gate is 17.5, but for what sums are
#: allowed beside it: sequential ones lose accumulate * sqrt(n / 6), so that twice 16384 terms leave 17.8.
PRECISIONS: Final = {
    "float32": Precision(accumulate=2.0**-24, store=2.0**-24, tiny=FLUSH, bits=17.5, largest=2.0**127),
    "bfloat16": Precision(accumulate=2.0**-23, store=2.0**-8, tiny=FLUSH, bits=6.0, largest=2.0**127),
    "float16": Precision(accumulate=2.0**-23, store=2.0**-11, tiny=2.0**-24, bits=9.0, largest=65504.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBound:
    """An error in two parts: `random` errors of many elements average out, `coherent` ones may all have one sign."""

    random: Array
    coherent: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertBound:
    """Bounds on one expert's output [n, d], and `energy` [n].

    `energy` is the mean square that the output would have if the signs of its terms were random: the scale an rms
    error is compared with. It is not small where the output, or a hidden value, is small by cancellation alone.
    """

    random: Array
    coherent: Array
    energy: Array


def certain(n: int, u: float) -> float:
    """The limit that no order of summation exceeds: n u / (1 - n u). None from n u = 1 on (256 in bfloat16)."""
    return n * u / (1.0 - n * u) if n * u < 1.0 else inf


def probable(n: int, u: float) -> float:
    """The limit lambda sqrt(n) u, or the certain one where that is smaller (n below lambda^2 = 16)."""
    return min(certain(n, u), LAMBDA * float(np.sqrt(n)) * u)


def sum_error(value: Array, magnitude: Array, n: int, u: float) -> ErrorBound:
    """Error of sums of n products: `value` is sum a b, `magnitude` is sum |a b|; see the head of this file."""
    random = probable(n, u) * magnitude
    return ErrorBound(random=random, coherent=np.maximum(certain(n, u) * np.abs(value) - random, 0.0))


def carried(error: Array, squared_matrix: Array, magnitudes: Array) -> Array:
    """Error of `h @ W` when the elements of h [n, f] are off by independent errors within `error` [n, f].

    By Hoeffding's inequality lambda sqrt(sum e^2 w^2) but for probability 2 exp(-lambda^2 / 2); below lambda^2 terms
    the certain limit sum e |w| is the smaller.
    """
    if error.shape[-1] < LAMBDA**2:
        return error @ magnitudes
    return LAMBDA * np.sqrt(np.square(error) @ squared_matrix)


def expert_bound(x: Array, layer: OracleLayer, expert: int, trace: ExpertTrace, precision: Precision) -> ExpertBound:
    """Bounds the error of one expert's output on tokens x [n, d].

    Pre-activation z: sum error, and a rounding where it is stored (twice where a bias is added in a step of its own).
    Hidden h: slope times the error of z, the activation's own error, a rounding; the product rule where gated. Output:
    the error of h carried through w2, sum error, roundings. Roundings of h that all agree (h constant) shift the output
    by that share of itself: a term relative to the output. Where inputs are subnormal, flushing them is allowed. Where
    a step may overflow the dtype the bound is infinite.
    """
    hidden, coherent_hidden, typical = _hidden_bound(x, layer, expert, trace, precision)
    w2 = layer.w2[expert]
    magnitudes, squares = np.abs(w2), np.square(w2)
    d_ff = w2.shape[0]
    bias = np.zeros(w2.shape[1]) if layer.b2 is None else layer.b2[expert]
    length = d_ff + (layer.b2 is not None)
    through_w2 = np.abs(trace.hidden) @ magnitudes
    total = sum_error(trace.output, through_w2 + np.abs(bias), length, precision.accumulate)
    random = carried(hidden, squares, magnitudes) + total.random
    # Three stored values on the way: z, the activation, their gated product; and the output, with and without bias.
    random += precision.store * (4.0 * np.abs(trace.output - bias) + np.abs(trace.output))
    random += precision.tiny + FLUSH * (d_ff + magnitudes.sum(axis=0))
    coherent = total.coherent
    if coherent_hidden.any():
        coherent = coherent + coherent_hidden @ magnitudes
    stored = np.maximum(np.abs(trace.hidden) + hidden + coherent_hidden, np.abs(trace.pre)).max(axis=1, initial=0.0)
    if trace.gate_pre is not None:
        stored = np.maximum(stored, np.abs(trace.gate_pre).max(axis=1, initial=0.0))
    overflows = np.maximum(stored[:, None], np.abs(trace.output) + random + coherent) > precision.largest
    random[overflows] = np.inf
    # What cancellation costs a hidden value is no lack of bits: it counts as if it were rounded off a larger one.
    lost = np.square(typical * 2.0**precision.bits)
    energy = (np.square(trace.hidden) + lost) @ squares.mean(axis=1) + np.square(bias).mean()
    return ExpertBound(random=random, coherent=coherent, energy=energy)


def _hidden_bound(
    x: Array, layer: OracleLayer, expert: int, trace: ExpertTrace, precision: Precision
) -> tuple[Array, Array, Array]:
    """Random and coherent error [n, f] of the hidden values, and the size of a usual one."""
    size = np.abs(x)
    b1 = None if layer.b1 is None else layer.b1[expert]
    pre, usual = _projection_bound(size, layer.w1[expert], b1, trace.pre, precision)
    slope = SLOPES[layer.activation]
    own = 0.0 if layer.activation == "relu" else EVALUATION_UNITS * precision.accumulate
    if trace.gate_pre is None or layer.w_gate is None:
        random = slope * pre.random + own * np.abs(trace.pre) + precision.store * np.abs(trace.hidden)
        return random + precision.tiny, slope * pre.coherent, slope * usual + own * np.abs(trace.pre)
    gate_pre, gate_usual = _projection_bound(size, layer.w_gate[expert], None, trace.gate_pre, precision)
    # hidden = activated * pre. Where pre is 0 the activated value is found from its limit: |activated| <= slope |z|.
    with np.errstate(divide="ignore", invalid="ignore"):
        activated = np.where(trace.pre == 0.0, slope * trace.gate_pre, trace.hidden / trace.pre)
    activated = np.minimum(np.abs(activated), slope * np.abs(trace.gate_pre))
    gate_random = slope * gate_pre.random + own * np.abs(trace.gate_pre) + precision.store * activated + precision.tiny
    gate_coherent = slope * gate_pre.coherent
    random = np.abs(trace.pre) * gate_random + (activated + gate_random + gate_coherent) * pre.random
    random += precision.store * np.abs(trace.hidden) + precision.tiny
    coherent = np.abs(trace.pre) * gate_coherent + (activated + gate_random + gate_coherent) * pre.coherent
    usual = np.abs(trace.pre) * (slope * gate_usual + own * np.abs(trace.gate_pre)) + activated * usual
    return random, coherent, usual


def _projection_bound(
    size: Array, w: Array, bias: Array | None, value: Array, precision: Precision
) -> tuple[ErrorBound, Array]:
    """Error of `x @ w + bias` [n, f], `value` being its exact value and `size` |x|; and the size of a usual one.

    Usual: a sequential sum is off by u sqrt(n sum a^2 b^2) or less, which for normal terms is 1.6 u sum |a b|; and half
    a unit where the sum is stored.
    """
    weights = np.abs(w)
    magnitude = size @ weights
    stored = precision.store * np.abs(value)
    if bias is not None:
        magnitude += np.abs(bias)
        stored += precision.store * np.abs(value - bias)
    error = sum_error(value, magnitude, w.shape[0] + (bias is not None), precision.accumulate)
    flushed = FLUSH * (w.shape[0] + weights.sum(axis=0) + size.sum(axis=1, keepdims=True))
    usual = 2.0 * precision.accumulate * magnitude + 0.5 * precision.store * np.abs(value)
    return ErrorBound(random=error.random + stored + flushed + precision.tiny, coherent=error.coherent), usual
