"""Every token's logits, and with them its experts and their weights."""

from .amx import close_tiles, open_tiles
from .amx_matmul import SUMS_ONLY, amx_matmul
from .choice import add_shares, choose_experts
from .format import LANES, PANEL, TILE_ROWS, operand, steps, tile_rows, tiled
from .layer import Layer
from .memory import Floats, at
from .pack import copy_cast, copy_operands
from .panels import Panels
from .pool import Task
from .tile import group_of, tile_of
from .workspace import Workspace

# Below this many multiply-adds a second thread gains less than the 0.3 us that waking it takes.
comptime ALONE = 1 << 15


@fieldwise_init
struct Route[dtype: DType](Task):
    """The expert ids and weights of every token are in the workspace."""

    var layer: Layer
    var work: Workspace

    def start(self):
        """Run on the whole pool, or alone when that is quicker."""
        if self.work.tokens * self.layer.d_model * self.layer.experts <= ALONE:
            self.layer.pool.run_alone(self)
        else:
            self.layer.pool.run(self, (self.work.tokens + tile_rows[Self.dtype]() - 1) // tile_rows[Self.dtype]())

    def run(self, thread: Int):
        """Tile after tile of tokens, until none is left."""
        open_tiles[Self.dtype](self.layer.tiled_router())
        var logits = at[Float32](self.work.sums + thread * self.work.sums_per_thread)
        comptime rows = tile_rows[Self.dtype]()
        var keys = logits.unsafe_offset(rows * (self.work.ld_logits + self.work.ld_rows)).unsafe_bitcast[Int32]()
        while True:
            var tile = self.layer.pool.ticket()
            var first = tile * rows
            if first >= self.work.tokens:
                break
            var count = min(rows, self.work.tokens - first)
            self._logits(first, count, logits)
            for i in range(count):
                choose_experts(
                    self.layer,
                    logits.unsafe_offset(i * self.work.ld_logits),
                    keys,
                    keys.unsafe_offset(self.work.ld_logits),
                    at[Int32](self.work.ids).unsafe_offset((first + i) * self.layer.top_k),
                    at[Float32](self.work.weights).unsafe_offset((first + i) * self.layer.top_k),
                )
            if self.work.shares != 0:
                self._add_shares(tile, count, logits)
        close_tiles[Self.dtype](self.layer.tiled_router())

    def _add_shares(self, tile: Int, count: Int, logits: Floats):
        """The tile's row of shares holds the sum of its tokens'."""
        var shares = at[Float32](self.work.shares).unsafe_offset(tile * self.work.ld_logits)
        for e in range(self.work.ld_logits):
            shares[unsafe_offset=e] = 0
        for i in range(count):
            add_shares(self.layer, logits.unsafe_offset(i * self.work.ld_logits), shares)

    def _logits(self, first: Int, count: Int, logits: Floats):
        """`logits` [count, ld_logits] of the tokens from `first` on, in float32 whatever the layer's dtype."""
        comptime if tiled[Self.dtype]():
            if self.layer.tiled_router():
                self._logits_by_tiles(first, count, logits)
                return
        var rows = logits.unsafe_offset(tile_rows[Self.dtype]() * self.work.ld_logits)
        for i in range(0, count, TILE_ROWS):
            self._logits_by_vectors(
                first + i, min(TILE_ROWS, count - i), logits.unsafe_offset(i * self.work.ld_logits), rows
            )

    def _logits_by_vectors(self, first: Int, count: Int, logits: Floats, room: Floats):
        """As `_logits` for up to TILE_ROWS tokens, whose float32 copies find place in `room`."""
        var x = at[Scalar[Self.dtype]](self.work.x).unsafe_offset(first * self.layer.d_model)
        var rows: Floats
        var ld_rows: Int
        comptime if Self.dtype == DType.float32:
            rows = x.unsafe_bitcast[Float32]()
            ld_rows = self.layer.d_model
        else:
            rows = room
            ld_rows = self.work.ld_rows
            for i in range(count):
                copy_cast(x.unsafe_offset(i * self.layer.d_model), self.layer.d_model, rows.unsafe_offset(i * ld_rows))
        var panels = self.layer.router_panels()
        var panel_bytes = self.layer.d_model * LANES * 4
        var group = group_of[1](count)
        var p = 0
        while p < panels:
            var weights = at[UInt8](self.layer.router + p * panel_bytes)
            var bias = at[Float32](self.layer.router_bias).unsafe_offset(p * LANES)
            var target = logits.unsafe_offset(p * LANES)
            if p + group <= panels:
                tile_of[DType.float32, 1, True](
                    count,
                    1,
                    self.layer.d_model,
                    rows,
                    ld_rows,
                    weights,
                    panel_bytes,
                    4 * LANES,
                    bias,
                    0,
                    target,
                    self.work.ld_logits,
                    weights,
                    0,
                )
                p += group
            else:
                tile_of[DType.float32, 1, False](
                    count,
                    1,
                    self.layer.d_model,
                    rows,
                    ld_rows,
                    weights,
                    panel_bytes,
                    4 * LANES,
                    bias,
                    0,
                    target,
                    self.work.ld_logits,
                    weights,
                    0,
                )
                p += 1

    def _logits_by_tiles(self, first: Int, count: Int, logits: Floats):
        """As `_logits`: products of bfloat16 are exact, and AMX sums them in float32."""
        var d = self.layer.d_model
        var ld_rows = self.work.ld_rows
        var room = logits.unsafe_offset(tile_rows[Self.dtype]() * self.work.ld_logits)
        var rows = room.unsafe_bitcast[Scalar[operand[Self.dtype]()]]()
        var x = at[Scalar[Self.dtype]](self.work.x).unsafe_offset(first * d)
        for i in range(count):
            copy_operands[Self.dtype, Self.dtype](x.unsafe_offset(i * d), d, rows.unsafe_offset(i * ld_rows))
        var matrix = Panels.router[Self.dtype](self.layer)
        amx_matmul[SUMS_ONLY, False](
            matrix,
            0,
            (self.layer.experts + PANEL - 1) // PANEL,
            count,
            0,
            steps[Self.dtype](d),
            room,
            ld_rows // 2,
            logits,
            self.work.ld_logits,
            rows.unsafe_bitcast[BFloat16](),
            0,
            room.unsafe_offset(tile_rows[Self.dtype]() * ld_rows + 2 * self.work.ld_logits),
            matrix.weights,
        )
