"""Which tile comes when: the tiles of the router, of the first and of the second matmul, in one order for all blocks.

Tiles of the second matmul are numbered on behind those of the first. In narrow tiles block b takes tiles b, b + blocks, ...; in
wide ones the next that nobody has taken. Those differ: in their tokens, and a tile of the first matmul takes 0.3 times as long
as one of the second at seed-serving and 3 times at Qwen3's sizes, so that dealt out in turn the last block was done 1.5 to 4 %
of all cycles behind the mean.
"""

from max.gpu import block_idx, grid_dim

from hopper.layer import Layer
from hopper.memory import U32P
from hopper.ptx import add_relaxed
from hopper.shape import Block, GROUP_ROWS, Shape, TURNS

comptime FINE_ABOVE = 128
"""Tiles of many tokens are many: there, 8 columns too many cost more than another instance of the code."""
comptime ROUTER = 0
comptime FIRST = 1
comptime SECOND = 2


@inline(.always)
def divide(n: Int, by: Int) -> Int:
    """n // by of numbers from 0 to 2^31: a 64-bit division takes 100 instructions here, a 32-bit one 20."""
    return Int(UInt32(n) // UInt32(by))


@inline(.always)
def ceildiv(n: Int, by: Int) -> Int:
    """n / by rounded up, likewise."""
    return divide(n + by - 1, by)


@fieldwise_init
struct Tile(TrivialRegisterPassable):
    """Weight rows `weight_row`.. of an expert times `n_tokens` rows from `row` on."""

    var expert: Int
    var weight_row: Int
    """Within the expert."""
    var row: Int
    """First row, counted over all experts."""
    var row_in_expert: Int
    var n_tokens: Int
    var split: Int
    var rows_of_expert: Int


@inline(.always)
def is_width(n: Int) -> Bool:
    """Whether the matmuls are compiled for tiles of `n` tokens: 8, multiples of 16, above FINE_ABOVE of 8."""
    return n == 8 or n % 16 == 0 or n % 8 == 0 and n > FINE_ABOVE


@inline(.always)
def tokens_per_tile(rows: Int, most: Int) -> Int:
    """Tokens each tile of an expert takes when its rows are dealt out evenly: one of the widths of `is_width`.

    With 271 rows and at most 160: two tiles of 144, not one of 160 and one of 112. It is the unevenness that costs.
    """
    var even = ceildiv(rows, ceildiv(rows, most))
    return ceildiv(even, 8) * 8 if even <= 8 or even > FINE_ABOVE else ceildiv(even, 16) * 16


@inline(.always)
def router_splits[dtype: DType](a: Layer[dtype]) -> Int:
    """Parts into which the router cuts its K, each with a plane of logits of its own: the more tokens a tile has, the fewer weights
    all blocks ask for at once."""
    var blocks = k_blocks[dtype](a.k0)
    return 2 if blocks % 2 == 0 and blocks >= 8 else 1


@inline(.always)
def splits_of[dtype: DType, //, matmul: Int](a: Layer[dtype]) -> Int:
    """Parts into which a matmul cuts its K."""
    comptime if matmul == ROUTER:
        return router_splits(a)
    return Int(a.splits) if matmul == SECOND else 1


@inline(.always)
def router_tokens[dtype: DType](a: Layer[dtype]) -> Int:
    """Most tokens a tile of the router takes: so few that every block gets a tile."""
    return min(Int(a.tokens1), ceildiv(ceildiv(Int(a.n_tokens) * router_splits(a), Int(grid_dim.x)), 16) * 16)


@inline(.always)
def find_expert[dtype: DType, shape: Shape](block: Block[dtype, shape], table: Int, n: Int, tile: Int) -> Int:
    """The expert whose tiles include `tile`: a binary search, since a walk over 256 experts takes 4 us."""
    var first = block.table(table)
    var low = 0
    var high = n
    while high - low > 1:
        var mid = (low + high) // 2
        if Int(first[unsafe_offset=mid]) <= tile:
            low = mid
        else:
            high = mid
    return low


@inline(.always)
def count_tiles[dtype: DType, shape: Shape, //, matmul: Int](a: Layer[dtype], block: Block[dtype, shape]) -> Int:
    """Tiles of a matmul over all experts."""
    comptime if matmul == ROUTER:
        var across = ceildiv(Int(a.logits_stride), shape.consumers * GROUP_ROWS)
        return across * router_splits(a) * ceildiv(Int(a.n_tokens), router_tokens(a))
    comptime if shape.few():
        return Int(block.table(2)[unsafe_offset=0]) * tiles_of_few[shape, matmul](a)
    return Int(block.table(matmul)[unsafe_offset=Int(a.n_experts)])


@inline(.always)
def find_tile[
    dtype: DType, shape: Shape, //, matmul: Int
](a: Layer[dtype], block: Block[dtype, shape], index: Int) -> Tile:
    """Tile number `index` of a matmul: token tiles fastest, so that blocks side by side share weights in L2."""
    comptime rows_per_tile = shape.consumers * GROUP_ROWS
    comptime if matmul == ROUTER:
        var rows = Int(a.n_tokens)
        var per = tokens_per_tile(rows, router_tokens(a))
        var tiles = ceildiv(rows, router_tokens(a))
        var part = divide(index, tiles)
        var row = (index - part * tiles) * per
        var weight_tile = divide(part, router_splits(a))
        var split = part - weight_tile * router_splits(a)
        return Tile(0, weight_tile * rows_per_tile, row, row, min(per, rows - row), split, rows)
    var most = Int(a.tokens1) if matmul == FIRST else Int(a.tokens2)
    var splits = splits_of[matmul](a)
    comptime if shape.few():
        # Every expert that has rows has as many tiles.
        var per = tiles_of_few[shape, matmul](a)
        var entry = divide(index, per)
        var local = index - entry * per
        var first = Int(block.table(0)[unsafe_offset=entry])
        var rows = Int(block.table(0)[unsafe_offset=entry + 1]) - first
        var weight_tile = divide(local, splits)
        return Tile(
            Int(block.table(1)[unsafe_offset=entry]),
            weight_tile * rows_per_tile,
            first,
            0,
            rows,
            local - weight_tile * splits,
            rows,
        )
    var e = find_expert(block, matmul, Int(a.n_experts), index)
    var first = Int(block.table(0)[unsafe_offset=e])
    var rows = Int(block.table(0)[unsafe_offset=e + 1]) - first
    var tiles = ceildiv(rows, most)
    var per = tokens_per_tile(rows, most)
    var local = index - Int(block.table(matmul)[unsafe_offset=e])
    var rest = divide(local, tiles)
    var row = (local - rest * tiles) * per
    var weight_tile = divide(rest, splits)
    return Tile(
        e, weight_tile * rows_per_tile, first + row, row, min(per, rows - row), rest - weight_tile * splits, rows
    )


@inline(.always)
def tiles_of_few[dtype: DType, //, shape: Shape, matmul: Int](a: Layer[dtype]) -> Int:
    """Tiles of an expert that has any of few tokens."""
    comptime if matmul == FIRST:
        return weight_tiles[shape](Int(a.rows1))
    return weight_tiles[shape](Int(a.d_stride)) * Int(a.splits)


@inline(.always)
def finished_slots[dtype: DType](a: Layer[dtype]) -> Int:
    """Counters of blocks of rows: no more than these are used."""
    return divide(Int(a.n_tokens) * Int(a.top_k), Int(a.tokens1)) + Int(a.n_experts) + 1


@inline(.always)
def first_finished_slot[dtype: DType, shape: Shape](a: Layer[dtype], block: Block[dtype, shape], e: Int) -> Int:
    """Where the counters of an expert's blocks of rows begin, counted from the first."""
    return divide(Int(block.table(FIRST)[unsafe_offset=e]), weight_tiles[shape](Int(a.rows1)))


@inline(.always)
def weight_tiles[shape: Shape](rows: Int) -> Int:
    """Tiles along an expert's weight rows."""
    return ceildiv(rows, shape.consumers * GROUP_ROWS)


@inline(.always)
def rows_and_tiles[dtype: DType, shape: Shape](a: Layer[dtype], rows: Int) -> SIMD[DType.int32, 4]:
    """What an expert with that many pairs adds to the running sums of the three tables."""
    return SIMD[DType.int32, 4](
        Int32(rows),
        Int32(ceildiv(rows, Int(a.tokens1))) * Int32(weight_tiles[shape](Int(a.rows1))),
        Int32(ceildiv(rows, Int(a.tokens2))) * Int32(weight_tiles[shape](Int(a.d_stride)) * Int(a.splits)),
        0,
    )


@inline(.always)
def k_blocks[dtype: DType](k: Int32) -> Int:
    """Stages a product with inner length `k` takes; float32 takes three passes over halves (see `columns_of_stage`)."""
    comptime if dtype == DType.float32:
        return Int(k) // 32 * 3
    return Int(k) // 64


@inline(.always)
def weight_boxes[dtype: DType](k: Int32) -> Int:
    """Boxes of 128 bytes of K that a group of weight rows has: `prepare` lays each out in one piece, 16 KiB."""
    comptime if dtype == DType.float32:
        return Int(k) // 32 * 2
    return Int(k) // 64


@inline(.always)
def split_range(blocks: Int, splits: Int, split: Int) -> Tuple[Int, Int]:
    """The stages [from, to) of one part of K; no part is empty where blocks >= splits."""
    return (divide(blocks * split, splits), divide(blocks * (split + 1), splits))


@inline(.always)
def columns_of_stage[dtype: DType](k: Int32, stage: Int) -> Tuple[Int, Int]:
    """First column of the weights and of the tokens in a stage.

    A float32 operand is stored as [high | low], each exact in TF32's 10 bits of mantissa (tf32.mojo): the product is
    high high + low high + high low, which keeps all but the last bit of each factor (the "3xTF32" scheme).
    """
    comptime if dtype == DType.float32:
        var per = Int(k) // 32
        var part = divide(stage, per)
        var column = (stage - part * per) * 32
        return (column + (Int(k) if part == 1 else 0), column + (Int(k) if part == 2 else 0))
    return (stage * 64, stage * 64)


@fieldwise_init
struct Turn(TrivialRegisterPassable):
    """Which tile a thread of the block is at."""

    var index: Int
    """Its number, over both matmuls; or over the router's tiles, which blocks always take in turn."""
    var count: UInt32
    """How many tiles the block has had before it."""
    var next: UInt32
    """The one behind it: of the thread that takes tiles, once it has."""

    @staticmethod
    @inline(.always)
    def first() -> Self:
        """This block's first tile."""
        return Self(Int(block_idx.x), 0, UInt32(block_idx.x))

    @inline(.always)
    def tile[
        dtype: DType, shape: Shape, //, matmul: Int
    ](self, a: Layer[dtype], block: Block[dtype, shape], before: Int) -> Tile:
        """The tile, of a matmul that begins `before` tiles on: in wide tiles as the block was told. From the end of a tile to the
        products of the next the consumers took 3,200 to 4,900 cycles, of which to find it was a part."""
        comptime if shape.gathers or matmul == ROUTER:
            return find_tile[matmul](a, block, self.index - before)
        # As `hand_on` puts them down.
        var words = block.turn(Int((self.count - 1) % TURNS))
        var some = words.unsafe_load[width=4, alignment=16]()
        var others = words.unsafe_offset(4).unsafe_load[width=4, alignment=16]()
        return Tile(
            Int(some[1]),
            Int(some[2]),
            Int(some[3]),
            Int(others[0]),
            Int(others[1]),
            Int(others[2]),
            Int(others[3]),
        )

    @inline(.always)
    def take[dtype: DType, shape: Shape](mut self, a: Layer[dtype], block: Block[dtype, shape]):
        """One thread: takes the tile behind this one."""
        comptime if not shape.gathers:
            self.next = add_relaxed(taken_tiles(a), 1) + UInt32(grid_dim.x)

    @inline(.always)
    def hand_on[dtype: DType, shape: Shape, //, matmul: Int](mut self, a: Layer[dtype], block: Block[dtype, shape]):
        """That thread, which is at a tile of `matmul` or before the first: goes there, and tells the others of the block.

        A slot is written again TURNS tiles on. All have read it by then, the consumers once more at the end of its tile: a tile
        takes at least one stage, this thread is as many stages ahead as there are, and these are fewer.
        """
        comptime if shape.gathers:
            self.index += Int(grid_dim.x)
        else:
            self.index = Int(self.next)
            var slot = self.slot_behind()
            var first = count_tiles[FIRST](a, block)
            var tile = Tile(0, 0, 0, 0, 0, 0, 0)
            if self.index >= first:
                if self.index < first + count_tiles[SECOND](a, block):
                    tile = find_tile[SECOND](a, block, self.index - first)
            else:
                comptime if matmul == FIRST:
                    tile = find_tile[FIRST](a, block, self.index)
            var words = block.turn(slot)
            words.unsafe_store[alignment=16](
                SIMD[DType.int32, 4](Int32(self.index), Int32(tile.expert), Int32(tile.weight_row), Int32(tile.row))
            )
            words.unsafe_offset(4).unsafe_store[alignment=16](
                SIMD[DType.int32, 4](
                    Int32(tile.row_in_expert), Int32(tile.n_tokens), Int32(tile.split), Int32(tile.rows_of_expert)
                )
            )
            _ = block.turned()[unsafe_offset=slot].arrive()
            self.count += 1

    @inline(.always)
    def follow[dtype: DType, shape: Shape](mut self, block: Block[dtype, shape]):
        """The others: go there."""
        comptime if shape.gathers:
            self.index += Int(grid_dim.x)
        else:
            var slot = self.slot_behind()
            block.turned()[unsafe_offset=slot].wait(self.count // TURNS & 1)
            self.index = Int(block.turn(slot)[unsafe_offset=0])
            self.count += 1

    @inline(.always)
    def slot_behind(self) -> Int:
        """Where the tile behind this one is told of."""
        return Int(self.count % TURNS)


@inline(.always)
def taken_tiles[dtype: DType](a: Layer[dtype]) -> U32P:
    """How many tiles have been taken beyond each block's first: behind the counters of blocks of rows."""
    return a.finished.unsafe_offset(finished_slots(a))
