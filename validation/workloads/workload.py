"""A workload: a named shape with an input distribution."""

from dataclasses import dataclass
from enum import StrEnum

from validation.workloads.layer import LayerConfig


class Routing(StrEnum):
    """How tokens spread over the experts."""

    UNIFORM = "uniform"
    ZIPF = "zipf"
    ALL_TO_ONE = "all_to_one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A layer of a given shape and the tokens it is given.

    `tokens` is T of one forward call. The work counted is that of the expert matmuls alone, as the published texts
    count it (2.147 GFLOP at seed-claim); leaving the router out keeps every floor a lower bound.
    """

    name: str
    tokens: int
    layer: LayerConfig
    routing: Routing = Routing.UNIFORM
    seed: int = 0
    description: str = ""

    @property
    def flops(self) -> int:
        """FLOP of one call: every routed token passes 2 matmuls (3 when gated) of 2 * d * f each."""
        matmuls = 3 if self.layer.gated else 2
        return self.tokens * self.layer.top_k * matmuls * 2 * self.layer.d_model * self.layer.d_ff
