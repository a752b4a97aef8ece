"""The shared expert, which every token passes, as a layer's only expert."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from validation.workloads.layer import Layer

_TENSORS: Final = ("w1", "w2", "b1", "b2", "w_gate")


def shared_alone(layer: Layer) -> Layer:
    """Returns the layer with the shared expert's tensors as those of one expert [1, ...]; its router means nothing."""
    tensors = {name: getattr(layer, f"shared_{name}") for name in _TENSORS}
    alone = {name: None if one is None else one.unsqueeze(0) for name, one in tensors.items()}
    return replace(layer, **alone)  # type: ignore[arg-type]  # names of tensors, never config
