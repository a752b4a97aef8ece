"""The load-balancing loss of a call: how evenly the router spreads its tokens over the experts.

E sum_e f_e P_e, where f_e is how many (token, slot) pairs chose expert e over the number of tokens, and P_e the mean
share the router gave it. 1 for k = 1 when both are uniform (Switch Transformer, arXiv 2101.03961, equations 4 to 6, with
alpha = 1); in general k, as Mixtral's in Hugging Face transformers.
"""

from .memory import at
from .format import tile_rows
from .workspace import Workspace


struct Balance(Movable):
    """What the passes of a call add up to; for no experts it stays empty and costs nothing."""

    var chosen: List[Int]  # slots of each expert
    var shares: List[Float64]  # each expert's summed shares

    def __init__(out self, experts: Int):
        """Nothing added up yet."""
        self.chosen = List[Int](length=experts, fill=0)
        self.shares = List[Float64](length=experts, fill=0)

    def add[dtype: DType](mut self, work: Workspace):
        """A pass that is dispatched, and whose shares the router left, tile of tokens by tile, is added."""
        var rows = at[Int](work.expert_rows)
        var tiles = (work.tokens + tile_rows[dtype]() - 1) // tile_rows[dtype]()
        for e in range(len(self.chosen)):
            self.chosen[e] += rows[unsafe_offset=e + 1] - rows[unsafe_offset=e]
            for tile in range(tiles):
                # The order is that of the tokens, whoever routed them: the sum repeats to the last bit.
                self.shares[e] += Float64(at[Float32](work.shares)[unsafe_offset=tile * work.ld_logits + e])

    def loss(self, tokens: Int) -> Float32:
        """The loss of so many tokens; of none, 0."""
        if tokens == 0:
            return 0
        var sum = Float64(0)
        for e in range(len(self.chosen)):
            sum += Float64(self.chosen[e]) * self.shares[e]
        return Float32(Float64(len(self.chosen)) * sum / (Float64(tokens) * Float64(tokens)))
