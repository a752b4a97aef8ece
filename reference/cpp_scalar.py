"""C++, the plain loop over the tokens of each expert, with the compiler's vectoriser off: one value at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reference.cpp_build import build
from reference.cpp_layer import prepare_with

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from validation.workloads.layer import Layer

#: Both of GCC's vectorisers off; -O3 has them on.
FLAGS: Final = ("-fno-tree-vectorize", "-fno-tree-slp-vectorize")


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function; the first call on a machine compiles it."""
    return prepare_with(build("plain.cpp", *FLAGS), layer)
