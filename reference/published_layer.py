"""For baselines that compute the published layer alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validation.workloads.layer import Layer


def require_published(layer: Layer, baseline: str) -> None:
    """Returns when the layer has a softmax router and no shared expert.

    Raises:
        NotImplementedError: it has what the published layer lacks, and the baseline would leave out.
    """
    config = layer.config
    beyond = {
        f"a {config.router} router": config.router not in {"softmax", "topk_softmax"},
        f"routed_scaling = {config.routed_scaling}": config.routed_scaling != 1,
        "a shared expert": config.shared_d_ff > 0,
    }
    found = [option for option, there in beyond.items() if there]
    if found:
        raise NotImplementedError(
            f"{baseline} computes the published layer: a softmax router, no shared expert; this one has "
            f"{' and '.join(found)}"
        )
