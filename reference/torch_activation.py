"""The activations in PyTorch, out of place."""

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch.nn import functional

ACTIVATIONS: Final[dict[str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "relu": torch.relu,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
}
