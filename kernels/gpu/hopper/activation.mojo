"""Activations in float32."""

from std.math import exp, exp2

from hopper.layer import GELU_ERF, RELU
from hopper.ptx import reciprocal

comptime NEGATIVE_LOG2_E = Float32(-1.4426950408889634)


@inline(.always)
def erf(x: Float32) -> Float32:
    """The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26): two units in float32's last place of 1."""
    var z = abs(x)
    var t = reciprocal(1.0 + 0.3275911 * z)
    var p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * Float32(1.061405429)))))
    var y = 1.0 - p * exp(-z * z)
    return y if x >= 0 else -y


@inline(.always)
def activate[kind: Int](x: Float32, c0: Float32, c1: Float32) -> Float32:
    """The activation of `x`. NaN stays NaN.

    Parameters:
        kind: RELU, SIGMOID_FORM or GELU_ERF.

    Args:
        x: What goes in.
        c0: Of the sigmoid form x * sigmoid(x * (c0 + c1 x^2)).
        c1: As above.
    """
    comptime if kind == RELU:
        return x if x != x else max(x, Float32(0))
    comptime if kind == GELU_ERF:
        return 0.5 * x * (1.0 + erf(x * 0.70710678))
    # The factor of exp2 goes into the constants, which leaves one multiplication less.
    return x * reciprocal(1.0 + exp2(x * (c0 * NEGATIVE_LOG2_E + c1 * NEGATIVE_LOG2_E * x * x)))
