"""The producer warpgroup: weights and token rows, into the ring of stages.

Both come through the tensor memory accelerator, by one thread each; three warps gather the token rows, in narrow tiles all
of them, in wide ones those of the first matmul where there is no copy of them sorted by expert.
"""

from std.sys import size_of
from max.gpu import block_idx, grid_dim
from max.gpu.memory import fence_async_view_proxy
from max.gpu.sync import syncwarp
from layout import Coord, TileTensor, row_major
from layout.tma_async import TMATensorTile

from hopper.layer import Layer
from hopper.memory import Global, U32P
from hopper.ptx import (
    arrive_after_copies,
    copy_16_bytes,
    copy_16_bytes_kept,
    fence_async_global,
    load_acquire,
    wait_barrier,
)
from hopper.schedule import (
    FIRST,
    ROUTER,
    SECOND,
    Tile,
    Turn,
    ceildiv,
    columns_of_stage,
    count_tiles,
    divide,
    finished_slots,
    first_finished_slot,
    k_blocks,
    router_splits,
    split_range,
    splits_of,
    tokens_per_tile,
    weight_boxes,
    weight_tiles,
)
from hopper.shape import (
    Block,
    BOX_ROWS,
    GATHERERS,
    GROUP_ROWS,
    ROW_BYTES,
    SLOT_WORDS,
    SOME_PAIRS,
    SOME_TOKENS,
    Shape,
)


comptime GATHERED_BARRIER = 6
"""Named barrier of the threads that gather rows."""
comptime TOLD_BEHIND = 1
"""How many stages behind the weights that it asks for a thread tells of gathered rows. With two the consumers waited: there is
room for a stage only once they are done with the one four before, and then they have work for one more."""


@fieldwise_init
struct Ring(TrivialRegisterPassable):
    """A place in the ring of stages, and the parity of the round: in 32 bits, for what goes round lives in registers.
    """

    var at: UInt32
    var parity: UInt32

    @inline(.always)
    def stage(self) -> Int:
        """The stage."""
        return Int(self.at)

    @inline(.always)
    def advance[stages: Int](mut self):
        """Goes to the next stage."""
        self.at += 1
        if self.at == UInt32(stages):
            self.at = 0
            self.parity ^= 1

    @inline(.always)
    def skip[stages: Int](mut self, n: Int):
        """Goes `n` stages on."""
        var to = self.at + UInt32(n)
        var rounds = to // UInt32(stages)
        self.at = to - rounds * UInt32(stages)
        self.parity ^= rounds & 1


@inline(.always)
def router_stages[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape]) -> Int:
    """How many stages the router's tiles of this block take."""
    var tiles = ceildiv(max(0, count_tiles[ROUTER](a, block) - Int(block_idx.x)), Int(grid_dim.x))
    return tiles * divide(k_blocks[dtype](a.k0), router_splits(a))


@inline(.always)
def fetch_weights[
    dtype: DType, shape: Shape, ts: Coord, ds: Coord, //, matmul: Int
](
    a: Layer[dtype],
    block: Block[dtype, shape],
    map: TMATensorTile[dtype, ts, ds],
    mut ring: Ring,
    mut turn: Turn,
    before: Int,
):
    """One thread: the weights of all this block's tiles of a matmul, as stages become free. `before` tiles come earlier.
    """
    comptime columns = ROW_BYTES // size_of[dtype]()
    var k = a.k1 if matmul == SECOND else a.k0
    var rows = Int(a.logits_stride) if matmul == ROUTER else (Int(a.rows1) if matmul == FIRST else Int(a.d_stride))
    var splits = splits_of[matmul](a)
    var end = before + count_tiles[matmul](a, block)
    # In wide tiles it is the one to tell of gathered rows too.
    var gathered = False
    comptime if matmul == FIRST and not shape.gathers:
        gathered = Int(a.sorted) == 0
    var landed = Ring(0, 0)
    while turn.index < end:
        var tile = turn.tile[matmul](a, block, before)
        # Boxes of a group of rows lie one behind the other.
        var boxes = weight_boxes[dtype](k)
        var first_box = (tile.expert * rows + tile.weight_row) // GROUP_ROWS * boxes
        var groups = min(shape.consumers, (rows - tile.weight_row) // GROUP_ROWS)
        var part = split_range(k_blocks[dtype](k), splits, tile.split)
        var untold = Int32(0)
        for stage in range(part[0], part[1]):
            comptime if matmul != ROUTER:
                # As late as the answer allows: this stage is not free yet.
                if stage == part[1] - 1:
                    turn.take(a, block)
            var box = first_box + columns_of_stage[dtype](k, stage)[0] // columns
            block.empty()[unsafe_offset=ring.stage()].wait(ring.parity)
            block.full()[unsafe_offset=ring.stage()].expect_bytes(Int32(groups * GROUP_ROWS * ROW_BYTES))
            for g in range(groups):
                var to = TileTensor(
                    block.weights(ring.stage()).unsafe_offset(g * GROUP_ROWS * columns),
                    row_major[GROUP_ROWS, columns](),
                )
                map.async_copy(to, block.full()[unsafe_offset=ring.stage()], (0, (box + g * boxes) * GROUP_ROWS))
            ring.advance[shape.stages]()
            if gathered:
                untold += 1
                if untold > Int32(TOLD_BEHIND):
                    tell_of_rows(block, ring, untold, landed)
        comptime if matmul == ROUTER:
            turn.index += Int(grid_dim.x)
        else:
            turn.hand_on[matmul](a, block)
        while untold > 0:
            tell_of_rows(block, ring, untold, landed)


@inline(.always)
def fetch_tokens[
    dtype: DType, shape: Shape, ts: Coord, ds: Coord, //, matmul: Int
](
    a: Layer[dtype],
    block: Block[dtype, shape],
    map: TMATensorTile[dtype, ts, ds],
    mut ring: Ring,
    mut turn: Turn,
    before: Int,
):
    """One thread: the token rows of all this block's tiles of a matmul, in boxes of BOX_ROWS rows.

    Rows beyond the tile's last are whatever follows: their products are never stored.
    """
    comptime columns = ROW_BYTES // size_of[dtype]()
    var k = a.k1 if matmul == SECOND else a.k0
    var splits = splits_of[matmul](a)
    # The rows were written by ordinary stores.
    fence_async_global()
    var end = before + count_tiles[matmul](a, block)
    while turn.index < end:
        var tile = turn.tile[matmul](a, block, before)
        var boxes = (tile.n_tokens + BOX_ROWS - 1) // BOX_ROWS
        comptime if matmul == SECOND:
            wait_for_hidden(a, block, tile)
            fence_async_global()
        var part = split_range(k_blocks[dtype](k), splits, tile.split)
        for stage in range(part[0], part[1]):
            var column = columns_of_stage[dtype](k, stage)[1]
            block.empty()[unsafe_offset=ring.stage()].wait(ring.parity)
            block.full()[unsafe_offset=ring.stage()].expect_bytes(Int32(boxes * BOX_ROWS * ROW_BYTES))
            for b in range(boxes):
                var to = TileTensor(
                    block.tokens(ring.stage()).unsafe_offset(b * BOX_ROWS * columns), row_major[BOX_ROWS, columns]()
                )
                map.async_copy(to, block.full()[unsafe_offset=ring.stage()], (column, tile.row + b * BOX_ROWS))
            ring.advance[shape.stages]()
        comptime if matmul == ROUTER:
            turn.index += Int(grid_dim.x)
        else:
            turn.follow(block)


@inline(.always)
def wait_for_hidden[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], tile: Tile):
    """One thread waits until the first matmul has written every hidden row that a tile of the second reads."""
    var per = tokens_per_tile(tile.rows_of_expert, Int(a.tokens1))
    var needed = UInt32(weight_tiles[shape](Int(a.rows1)) * shape.consumers)
    var slot = first_finished_slot(a, block, tile.expert)
    for i in range(divide(tile.row_in_expert, per), divide(tile.row_in_expert + tile.n_tokens - 1, per) + 1):
        while load_acquire(finished_of(a, block).unsafe_offset(slot + i)) < needed:
            pass


@inline(.always)
def by_words[dtype: DType, shape: Shape](a: Layer[dtype]) -> Bool:
    """Whether logits and choices are words, and there is no barrier of the grid before the matmuls (few_logits.mojo).
    """
    comptime if shape.few():
        return True
    comptime if not shape.gathers:
        return False
    var pairs = Int(a.n_tokens) * Int(a.top_k)
    return Int(a.n_tokens) <= min(SOME_TOKENS, Int(grid_dim.x)) and pairs <= SOME_PAIRS


@inline(.always)
def finished_of[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape]) -> U32P:
    """The counters of this launch. Where no barrier stands before their first use, launches take turns with two sets.
    """
    if not by_words[dtype, shape](a):
        return a.finished
    return a.finished.unsafe_offset(Int(block.launch()[unsafe_offset=0] & 1) * finished_slots(a))


@inline(.always)
def gather_tokens[
    dtype: DType, shape: Shape, //, matmul: Int
](a: Layer[dtype], block: Block[dtype, shape], thread: Int, mut ring: Ring, mut turn: Turn, before: Int):
    """GATHERERS threads: the token rows of all this block's tiles of a matmul, 16 bytes a copy, swizzled by hand.

    Rows beyond the tile's last are copies of its first (of few tokens: what is there): their products are never stored.
    """
    comptime rows_at_once = GATHERERS // 8
    comptime steps = (shape.max_tokens + rows_at_once - 1) // rows_at_once
    comptime width = 16 // size_of[dtype]()
    var k = a.k1 if matmul == SECOND else a.k0
    var stride = Int(a.hidden_stride) if matmul == SECOND else Int(a.staged_stride)
    var source = a.hidden if matmul == SECOND else a.staged
    var splits = splits_of[matmul](a)
    var chunk = thread % 8
    var slot = thread // 8
    var words = by_words[dtype, shape](a)
    var end = before + count_tiles[matmul](a, block)
    while turn.index < end:
        var tile = turn.tile[matmul](a, block, before)
        var padded = 8 if tile.n_tokens <= 8 else (tile.n_tokens + 15) // 16 * 16
        comptime if shape.few():
            padded = tile.n_tokens
        # Offsets in units of 16 bytes: 32 bits reach 64 GiB.
        var offset = SIMD[DType.uint32, 16](0)
        comptime for i in range(steps):
            var r = i * rows_at_once + slot
            if r < padded:
                var row = tile.row + (r if r < tile.n_tokens else 0)
                comptime if matmul == FIRST:
                    comptime if shape.few():
                        row = Int(block.few_tokens()[unsafe_offset=row])
                    else:
                        row = Int(
                            block.window()[unsafe_offset=SOME_PAIRS + row] if words else a.tokens[unsafe_offset=row]
                        )
                offset[i] = UInt32((row * stride) // width + chunk)
        comptime if matmul == SECOND:
            if thread % 32 == 0:
                wait_for_hidden(a, block, tile)
            syncwarp()
        var part = split_range(k_blocks[dtype](k), splits, tile.split)
        for stage in range(part[0], part[1]):
            var column = columns_of_stage[dtype](k, stage)[1]
            block.empty()[unsafe_offset=ring.stage()].wait(ring.parity)
            var to = block.tokens(ring.stage()).unsafe_bitcast[UInt8]()
            var from_ = source.unsafe_offset(column).unsafe_bitcast[UInt8]()
            comptime for i in range(steps):
                var r = i * rows_at_once + slot
                if r < padded:
                    copy_16_bytes(
                        to.unsafe_offset(r * ROW_BYTES + (chunk ^ (r % 8)) * 16),
                        from_.unsafe_offset(Int(offset[i]) * 16),
                    )
            arrive_after_copies(UInt32(Int(block.full().unsafe_offset(ring.stage()))))
            ring.advance[shape.stages]()
        comptime if matmul == ROUTER:
            turn.index += Int(grid_dim.x)
        else:
            turn.follow(block)


@inline(.always)
def gather_rows[
    dtype: DType, shape: Shape, //
](a: Layer[dtype], block: Block[dtype, shape], thread: Int, mut ring: Ring, mut turn: Turn):
    """GATHERERS threads: the token rows of all this block's tiles of the first matmul, where tiles are wide and there is no
    copy sorted by expert.

    They only ask for rows, as soon as a stage is free: 40 cycles and more a copy and warp, so that two warps took 1,300 cycles a
    stage, and the tensor cores need 1,050. Who waits for the rows is the thread that fetches weights (`tell_of_rows`).
    """
    comptime rows_at_once = GATHERERS // 8
    comptime steps = (shape.max_tokens + rows_at_once - 1) // rows_at_once
    comptime width = 16 // size_of[dtype]()
    var chunk = thread % 8
    var slot = thread // 8
    # Where a thread's first row goes. Its others are 12 further on each, so that every other one is swizzled as the first is.
    var inside = UInt32(slot * ROW_BYTES + (chunk ^ slot % 8) * 16)
    # 32-bit numbers: the producers have 40 registers each.
    var stages = UInt32(k_blocks[dtype](a.k0))
    var tiles = count_tiles[FIRST](a, block)
    var landed = Ring(0, 0)
    var odd = False
    while turn.index < tiles:
        var tile = turn.tile[FIRST](a, block, 0)
        var left = Int32(tile.n_tokens - slot)
        # Where each row begins, in units of 16 bytes: 32 bits reach 64 GiB. A slot's rows lie side by side, over the window of ids;
        # the tile before has the other table.
        var table = block.window().unsafe_offset(SLOT_WORDS * rows_at_once if odd else 0)
        odd = not odd
        for r in range(thread, tile.n_tokens, GATHERERS):
            var token = UInt32(a.tokens[unsafe_offset=tile.row + r])
            var step = divide(r, rows_at_once)
            table[unsafe_offset=(r - step * rows_at_once) * SLOT_WORDS + step] = Int32(
                token * UInt32(Int(a.staged_stride) // width)
            )
        wait_barrier[GATHERED_BARRIER](GATHERERS)
        var own = table.unsafe_offset(slot * SLOT_WORDS)
        var stage = UInt32(0)
        while stage < stages:
            var column = columns_of_stage[dtype](a.k0, Int(stage))[1]
            var from_ = a.staged.unsafe_offset(column + chunk * width).unsafe_bitcast[UInt8]()
            var offsets = own.unsafe_load[width=4, alignment=16]()
            block.empty()[unsafe_offset=ring.stage()].wait(ring.parity)
            var to = block.tokens(ring.stage()).unsafe_bitcast[UInt8]()
            var even_to = to.unsafe_offset(Int(inside))
            var odd_to = to.unsafe_offset(Int(inside ^ 64))
            comptime for some in range(0, steps, 4):
                # The next four are read before these are used: behind copies to shared memory a load waits for them.
                var following = offsets
                comptime if some + 4 < steps:
                    following = own.unsafe_offset(some + 4).unsafe_load[width=4, alignment=16]()
                comptime for i in range(some, min(some + 4, steps)):
                    # Rows beyond the last stay as they are: their products are never stored.
                    if Int32(i * rows_at_once) < left:
                        copy_16_bytes_kept(
                            (even_to if i % 2 == 0 else odd_to).unsafe_offset(i * (rows_at_once * ROW_BYTES)),
                            from_.unsafe_offset(Int(UInt32(offsets[i - some])) * 16),
                        )
                offsets = following
            arrive_after_copies(UInt32(Int(block.landed().unsafe_offset(landed.stage()))))
            landed.advance[shape.stages]()
            ring.advance[shape.stages]()
            stage += 1
        turn.follow(block)


@inline(.always)
def tell_of_rows[
    dtype: DType, shape: Shape, //
](block: Block[dtype, shape], ring: Ring, mut untold: Int32, mut landed: Ring):
    """One thread: waits for the gathered rows of the stage `untold` stages behind `ring`, and tells of them.

    A thread that has copies on its way seems to wait for all of them at the fence between the proxies, the newest too: when the
    gathering threads told of rows themselves, a stage took as long as its copies and their way together.
    """
    block.landed()[unsafe_offset=landed.stage()].wait(landed.parity)
    # The tensor cores read through the asynchronous proxy.
    fence_async_view_proxy()
    var stage = Int32(ring.at) - untold
    if stage < 0:
        stage += Int32(shape.stages)
    _ = block.full()[unsafe_offset=Int(stage)].arrive()
    landed.advance[shape.stages]()
    untold -= 1
