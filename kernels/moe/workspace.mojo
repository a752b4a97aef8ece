"""Where a call keeps what is neither weight, input nor output."""

from std.sys import size_of

from .ablation import ALLOCATION, KEPT
from .format import (
    AMX_ROWS,
    AMX_SUMS,
    LANES,
    PANEL,
    TILE_ROWS,
    bytes_of,
    chunk_steps,
    operand,
    tile_rows,
    tiled,
    widened,
)
from .layer import Layer
from .memory import CACHE_LINE, allocate_for_one_call, release_after_call, round_up

# The slots' outputs of one pass over the tokens; more tokens are done in several passes.
comptime PASS_BYTES = 256 << 20


def block_rows[dtype: DType]() -> Int:
    """Rows of the largest block.

    A block reads an expert's weights once from L3: at 96 rows each byte of float32 does 48 multiply-adds, so two
    threads of 250 GFLOP/s ask for 5 GB/s each. On two Zen3 cores (512 KiB of L2) 48 rows took 5 % more in bfloat16, which
    is widened once a block, and as much in float32. AMX has ten times the speed: 256 rows, and some more so that an
    expert with little above a multiple of them is not cut once more. Still more would push the block's own data out of L2.
    """
    return 10 * AMX_ROWS if tiled[dtype]() else 96


def smallest_block[dtype: DType]() -> Int:
    """Rows of the smallest block but for an expert's last: whole tiles, and two of the low ones."""
    return 2 * AMX_ROWS if tiled[dtype]() else 2 * TILE_ROWS


def spare_rows[dtype: DType]() -> Int:
    """Rows that may be read beyond the last: AMX reads 32 at a time."""
    return AMX_ROWS - 1 if tiled[dtype]() else 0


@always_inline
def stride[dtype: DType](columns: Int) -> Int:
    """Elements from one row to the next: an odd number of cache lines.

    Rows a multiple of 4096 bytes apart would share one set of the L1 cache, whose 8 to 12 ways a tile's rows fill. AMX
    reads rows of 64 bytes, and half as fast where they straddle two lines.
    """
    comptime line = CACHE_LINE // size_of[Scalar[dtype]]()
    return round_up(columns, 2 * line) + line


@fieldwise_init
struct Workspace(Copyable, ImplicitlyCopyable, Movable):
    """One pass over `tokens` tokens: addresses, and the sizes they were laid out for.

    A slot is one (token, rank) pair, rank counting a token's chosen experts from the best. A row is a slot's place
    when slots are sorted by expert.
    """

    var tokens: Int
    var slots: Int
    var x: Int
    var output: Int
    var ids: Int  # int32 [tokens, top_k]
    var weights: Int  # float32 [tokens, top_k]
    var row_of_slot: Int  # int32 [slots]
    var token_of_row: Int  # int32 [slots]
    var expert_rows: Int  # int64 [experts + 1]: first row of each expert
    var cursors: Int  # int64 [experts]
    var blocks: Int  # int32 [most blocks, 3]: first row, rows, expert
    var block_count: Int
    var rows: Int  # gathered inputs: [slots, ld_rows] operands, or that of a block per thread
    var hidden: Int  # hidden units: [slots, ld_hidden] operands, or a slice of a block's per thread
    var sums: Int  # per thread: unfinished tiles, float32
    var results: Int  # expert outputs: float32 [slots, ld_results], and [tokens, ld_results] of the shared expert
    var shares: Int  # float32 [tiles of tokens, ld_logits]: summed shares of all experts; 0 when nobody asks for them
    var ld_rows: Int
    var ld_hidden: Int
    var ld_results: Int
    var ld_logits: Int
    var sums_per_thread: Int  # bytes
    var whole: Bool  # whether rows and hidden hold all slots
    var base: Int  # where it begins
    var bytes: Int

    @staticmethod
    def most_tokens[dtype: DType](layer: Layer) -> Int:
        """Tokens of one pass: their slots' outputs take at most PASS_BYTES (or are a block's)."""
        var slot_bytes = 4 * stride[DType.float32](layer.second_panels() * PANEL)
        var rows = layer.top_k + (1 if layer.shared_d_ff > 0 else 0)
        return max(block_rows[dtype](), PASS_BYTES // (slot_bytes * rows))

    @staticmethod
    def reserve[dtype: DType](layer: Layer, tokens: Int, with_shares: Bool) raises -> Workspace:
        """The pool's workspace, large enough for `tokens` tokens and laid out for them.

        Parameters:
            dtype: Of the layer.

        Args:
            layer: Whose tokens they are.
            tokens: Of one pass; at most `most_tokens`.
            with_shares: Whether the load-balancing loss is wanted, which needs every expert's share of every token.

        Raises:
            When the system refuses the memory.
        """
        comptime size = bytes_of[operand[dtype]()]()
        var threads = layer.pool.threads()
        var slots = tokens * layer.top_k
        var ld_rows = stride[operand[dtype]()](layer.d_model)
        var ld_results = stride[DType.float32](layer.second_panels() * PANEL)
        var ld_logits = stride[DType.float32](layer.router_panels() * LANES)
        var alone = layer.shared_expert()
        var shared_rows = tokens if layer.shared_d_ff > 0 else 0
        var ld_hidden = hidden_stride[dtype](layer, slots)
        var held = rows_held[dtype](layer, slots)
        var shared_held = rows_held[dtype](alone, shared_rows)
        var most_blocks = slots // smallest_block[dtype]() + layer.experts + 1
        # A tile under way: the block's rows of one panel, a group of panels of a few rows, or a tile of logits
        # with the float32 copy of its tokens and the order of one token's experts and groups.
        var sums_floats = max(
            block_rows[dtype]() * PANEL,
            tile_rows[dtype]() * (ld_logits + ld_rows) + 2 * ld_logits,
            TILE_ROWS * PANEL * 4,
        )
        comptime if tiled[dtype]():
            sums_floats = AMX_SUMS + max(sums_floats, block_rows[dtype]() * PANEL)
        comptime if widened[dtype]():
            # A thread's widened panel stands after its unfinished tiles.
            sums_floats = max(sums_floats, (block_rows[dtype]() + chunk_steps[dtype]()) * PANEL)

        var end = 0
        var ids = _take(end, 4 * slots)
        var weights = _take(end, 4 * slots)
        var row_of_slot = _take(end, 4 * slots)
        var token_of_row = _take(end, 4 * slots)
        var expert_rows = _take(end, 8 * (layer.experts + 1))
        var cursors = _take(end, 8 * layer.experts)
        var blocks = _take(end, 12 * most_blocks)
        var rows = _take(end, max(held, shared_held) * ld_rows * size)
        var hidden = _take(end, max(held * ld_hidden, shared_held * hidden_stride[dtype](alone, shared_rows)) * size)
        var sums_per_thread = round_up(4 * sums_floats, CACHE_LINE)
        var sums = _take(end, threads * sums_per_thread)
        var results = _take(end, (slots + shared_rows + spare_rows[dtype]()) * ld_results * 4)
        var tiles = (tokens + tile_rows[dtype]() - 1) // tile_rows[dtype]()
        var shares = _take(end, 4 * tiles * ld_logits) if with_shares else 0
        var base: Int
        comptime if ALLOCATION == KEPT:
            base = layer.pool.workspace(end)
        else:
            base = allocate_for_one_call(end)
        return Workspace(
            tokens=tokens,
            slots=slots,
            x=0,
            output=0,
            ids=base + ids,
            weights=base + weights,
            row_of_slot=base + row_of_slot,
            token_of_row=base + token_of_row,
            expert_rows=base + expert_rows,
            cursors=base + cursors,
            blocks=base + blocks,
            block_count=0,
            rows=base + rows,
            hidden=base + hidden,
            sums=base + sums,
            results=base + results,
            shares=base + shares if with_shares else 0,
            ld_rows=ld_rows,
            ld_hidden=ld_hidden,
            ld_results=ld_results,
            ld_logits=ld_logits,
            sums_per_thread=sums_per_thread,
            whole=stands_whole[dtype](layer, slots),
            base=base,
            bytes=end,
        )

    def give_back(self):
        """What was allocated for this call is the system's again; what the pool keeps stays."""
        comptime if ALLOCATION != KEPT:
            release_after_call(self.base, self.bytes)


# Hidden units of all slots may stand in shared memory while they fit into each core's share of L2: then panels, not
# blocks, are shared out, and few rows still use all threads.
comptime WHOLE_HIDDEN_BYTES = 512 << 10
# And while a thread's share of the rows is below this. A block reads its expert's weights once, and its rows once; of
# panels every ticket reads the rows again. On 16 cores with AMX 64 rows a thread took 1.5 times as long by panels in
# bfloat16, 1.3 times in float32; 32 rows a thread in float32 took as long either way.
comptime PANEL_ROWS = 48


def slice_units[dtype: DType]() -> Int:
    """Hidden units of a block that a thread computes before it multiplies them with their part of w2: 4 KiB a row.

    All 4096 units of 96 rows would fill 1.5 MiB of L2, and push out the block's inputs and results. With AMX a block has
    more rows, and 1 KiB each.
    """
    return (1024 if tiled[dtype]() else 4096) // bytes_of[operand[dtype]()]()


def hidden_stride[dtype: DType](layer: Layer, rows: Int) -> Int:
    """Operands from one row of an expert's hidden units to the next: all of them, or a slice."""
    var units = layer.first_panels() * layer.units_per_panel()
    return stride[operand[dtype]()](units if stands_whole[dtype](layer, rows) else min(units, slice_units[dtype]()))


def stands_whole[dtype: DType](layer: Layer, rows: Int) -> Bool:
    """Whether the hidden units of so many rows stand in memory together, for all threads."""
    comptime held = operand[dtype]()
    var row_bytes = stride[held](layer.first_panels() * layer.units_per_panel()) * bytes_of[held]()
    var threads = layer.pool.threads()
    return rows < PANEL_ROWS * threads and rows * row_bytes <= WHOLE_HIDDEN_BYTES * threads


def rows_held[dtype: DType](layer: Layer, rows: Int) -> Int:
    """Rows of inputs and hidden units that stand in memory together: all, or a block's per thread."""
    if stands_whole[dtype](layer, rows):
        return rows + spare_rows[dtype]()
    return block_rows[dtype]() * layer.pool.threads()


def _take(mut end: Int, bytes: Int) -> Int:
    """The offset of a new piece of `bytes` bytes, two cache lines from its neighbours' last word; `end` moves on."""
    var offset = end
    end = round_up(end + bytes, 2 * CACHE_LINE)
    return offset
