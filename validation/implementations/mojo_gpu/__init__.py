"""The Mojo kernel on an NVIDIA Hopper GPU, as a kernel author would hand it in: one folder with a `prepare`.

`MOE_KERNEL_BUNDLE` names the folder that holds the compiled extension. Nothing here imports anything of ours but its
siblings, because a worker loads the folder by path; torch is imported when a layer comes, so that a machine without it
can still verify a bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


def prepare(layer: Any) -> Callable[[torch.Tensor, torch.Tensor], tuple[None, torch.Tensor, torch.Tensor]]:  # noqa: ANN401 -- a Layer, which this folder may not import
    """Repacks the weights for the kernel; `forward(x, out)` is then one launch on the current stream.

    Raises:
        BundleError: `MOE_KERNEL_BUNDLE` names no whole bundle, or one that does not fit this machine.
        ValueError: the layer is not one that the kernel computes; the message names thing, rule and value.
        MemoryError: the packed weights do not fit the GPU's free memory.
    """
    from .layer import prepare_layer  # noqa: PLC0415 -- see above

    return prepare_layer(layer)


#: What it computes beside the plain layer, and what it promises, in the suite's words.
OFFERS = (
    "gelu", "gelu_tanh", "silu", "gated", "bias", "router_bias", "raw", "topk_softmax",
    "float32", "bfloat16", "float16", "lowest_id_wins",
)  # fmt: skip
prepare.offers = OFFERS  # type: ignore[attr-defined]  # how a kernel declares what it deals with
