"""The activations in NumPy, in place: h [...] becomes act(h), its dtype kept."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import erf

Floats = npt.NDArray[np.floating]


def relu(h: Floats) -> None:
    """ReLU, max(h, 0)."""
    np.maximum(h, 0, out=h)


def silu(h: Floats) -> None:
    """SiLU, h * sigmoid(h). Below -87 the result is 0 to within 1e-36, and exp would overflow float32."""
    h /= 1 + np.exp(-np.maximum(h, -87))


def gelu(h: Floats) -> None:
    """GELU with the error function."""
    h *= (1 + erf(h * 0.5**0.5)) / 2


def gelu_tanh(h: Floats) -> None:
    """GELU's tanh approximation (Hendrycks and Gimpel 2016)."""
    h *= (1 + np.tanh((2 / np.pi) ** 0.5 * (h + 0.044715 * h * h * h))) / 2


ACTIVATIONS: Final[dict[str, Callable[[Floats], None]]] = {
    "relu": relu,
    "silu": silu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
}
