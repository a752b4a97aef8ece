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

    def __post_init__(self) -> None:
        """Refuses a negative T; T = 0 is a workload."""
        if self.tokens < 0:
            raise ValueError(f"tokens must not be negative; got {self.tokens}")

    @property
    def flops(self) -> int:
        """FLOP of one call: every routed token passes 2 matmuls (3 when gated) of 2 * d * f each.

        A shared expert adds as much per token for its own width.
        """
        units = self.layer.top_k * self.layer.d_ff + self.layer.shared_d_ff
        return self.tokens * units * self._matmuls * 2 * self.layer.d_model

    @property
    def experts_touched(self) -> float:
        """Experts whose weights one call reads, in the mean over fresh batches.

        Under uniform routing a token misses an expert with probability 1 - k/E, so E * (1 - (1 - k/E)^T). A skewed
        batch may stay within k experts, the fewest possible.
        """
        experts, top_k = self.layer.n_experts, self.layer.top_k
        if self.tokens == 0:
            return 0.0
        if self.routing is not Routing.UNIFORM:
            return float(top_k)
        return experts * (1.0 - (1.0 - top_k / experts) ** self.tokens)

    @property
    def min_bytes(self) -> int:
        """Bytes one call must move: the touched experts' matrices, the tokens and the output, each once.

        They must come from DRAM only when the caches do not hold them: with warm caches and a set that fits there, the
        bandwidth to divide by is that cache's. Router and biases are left out, as the router's FLOP are.
        """
        d, f = self.layer.d_model, self.layer.d_ff
        shared = self.layer.shared_d_ff if self.tokens else 0
        elements = (self.experts_touched * f + shared) * self._matmuls * d + 2 * self.tokens * d
        return int(elements * self.layer.element_bytes)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all experts' matrices, the shared one's among them."""
        units = self.layer.n_experts * self.layer.d_ff + self.layer.shared_d_ff
        return units * self._matmuls * self.layer.d_model * self.layer.element_bytes

    @property
    def _matmuls(self) -> int:
        return 3 if self.layer.gated else 2
