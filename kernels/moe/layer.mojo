"""What `prepare` leaves: dimensions, options and packed weights."""

from .ablation import D_FF, D_MODEL
from .format import LANES, PANEL
from .pool import Pool


@fieldwise_init
struct Layer(Copyable, ImplicitlyCopyable, Movable):
    """A prepared layer: dimensions, options, and the addresses of the packed weights it owns."""

    var pool: Pool
    var d_model: Int
    var d_ff: Int
    var experts: Int
    var top_k: Int
    var activation: Int
    var gated: Bool
    var renormalize: Bool
    var router_kind: Int  # SOFTMAX or SIGMOID
    var groups: Int  # groups of neighbouring experts; 1 when there are none
    var top_groups: Int  # how many of them a token may choose from
    var scaling: Float32  # of the chosen weights
    var shared_d_ff: Int  # hidden units of the expert that every token passes; 0 without one
    var float32_router: Bool  # whether the user's router is float32 whatever the dtype
    var dtype: Int  # as the bindings number them
    var tiles: Bool  # whether its matmuls use AMX
    var packed: Int  # one allocation; the addresses below lie in it
    var packed_bytes: Int
    var router: Int  # float32 panels of one vector [d_model, LANES], or the tiles' panels of bfloat16
    var router_bias: Int  # float32 [experts rounded up to PANEL]
    var correction: Int  # float32 [experts rounded up to LANES]: added to a sigmoid router's scores for the choice
    var first: Int  # per expert: panels of w1, or of w_gate beside w1
    var first_bias: Int  # float32, per expert: in panel order
    var second: Int  # per expert: panels of w2
    var second_bias: Int
    var shared_first: Int  # as the four above, of the shared expert
    var shared_first_bias: Int
    var shared_second: Int
    var shared_second_bias: Int

    @always_inline
    def compiled(self) -> Layer:
        """The layer, its dimensions constants where the compiler was told them."""
        var known = self
        comptime if D_MODEL > 0:
            known.d_model = D_MODEL
        comptime if D_FF > 0:
            known.d_ff = D_FF
        return known

    def shared_expert(self) -> Layer:
        """The shared expert as a layer of one expert, which every token chooses with weight 1."""
        var alone = self
        alone.d_ff = self.shared_d_ff
        alone.experts = 1
        alone.top_k = 1
        alone.first = self.shared_first
        alone.first_bias = self.shared_first_bias
        alone.second = self.shared_second
        alone.second_bias = self.shared_second_bias
        return alone

    def units_per_panel(self) -> Int:
        """Hidden units that one panel of the first matmul yields."""
        return LANES if self.gated else PANEL

    def first_panels(self) -> Int:
        """Panels of the first matmul of an expert."""
        return (self.d_ff + self.units_per_panel() - 1) // self.units_per_panel()

    def second_panels(self) -> Int:
        """Panels of the second matmul of an expert."""
        return (self.d_model + PANEL - 1) // PANEL

    def tiled_router(self) -> Bool:
        """Whether AMX computes the logits too: the router's weights are bfloat16, or the other dtype's of the layer."""
        return self.tiles and not self.float32_router

    def router_panels(self) -> Int:
        """Panels, one vector wide, of the router."""
        return (self.experts + LANES - 1) // LANES
