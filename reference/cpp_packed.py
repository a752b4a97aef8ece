"""C++, the kernel's own algorithm: packed weights, a register tile in vector types, all threads.

What a C++ programmer would set against the kernel under validation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.cpp_build import build
from reference.cpp_layer import prepare_with

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from validation.workloads.layer import Layer


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function; the first call on a machine compiles it."""
    return prepare_with(build("packed.cpp"), layer)
