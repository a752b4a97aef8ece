"""Sizes fixed when the kernel is compiled: tiles, stages and the layout of shared memory."""

from std.sys import size_of

from hopper.memory import Shared
from layout.tma_async import SharedMemBarrier

comptime GROUP_ROWS = 128
"""Weight rows a consumer warpgroup holds: two m64 blocks."""
comptime ROW_BYTES = 128
"""Bytes of K in a stage: one 128-byte swizzle row."""
comptime GATHERERS = 96
"""Threads that gather token rows: warps 1 to 3 of the producer warpgroup; warp 0 fetches weights."""
comptime SLOT_WORDS = 16
"""Most rows of a wide tile that one of them gathers, rounded up to whole loads."""
comptime TURNS = 8
"""Tiles a block is told of before the first of them is forgotten: the producer may be a tile further on than there are stages (4
or 5 where tiles are handed on), while the consumers read theirs again at its end."""
comptime TURN_WORDS = 8
"""What it is told of each: its number and where it lies."""
comptime BOX_ROWS = 32
"""Token rows the tensor memory accelerator fetches at a time."""
comptime SUM_STAGES = 4
"""Stages of expert outputs in the last step."""
comptime SUM_ROWS = 8
"""Expert outputs a consumer adds up in one of them."""
comptime SUM_ABREAST = 16
"""Most tokens side by side in one of them: a row has at least 128 columns, a consumer 16 bytes."""
comptime MAX_EXPERTS = 256
comptime WINDOW = 1024
"""Pairs sorted at a time."""
comptime SORT_WORDS = 2 * MAX_EXPERTS + 4 * 8
"""What a block needs to sort beside: of at most SOME_PAIRS pairs a word and four bytes for each expert; four words a warp."""
comptime FEW_TOKENS = 4
"""Most tokens of a call of few: every block routes all of them for itself, one a warp."""
comptime FEW_PAIRS = 32
"""And most pairs: every block sorts them, one a lane."""
comptime SOME_TOKENS = 64
"""Most tokens that narrow tiles route without a barrier of the grid: a block a token."""
comptime SOME_PAIRS = WINDOW // 2
"""And most pairs: every block sorts them, and keeps their tokens in the second half of its window."""


@fieldwise_init
struct Shape(TrivialRegisterPassable):
    """A compiled variant of the kernel.

    `consumers` warpgroups of 128 weight rows each work on one tile of at most `max_tokens` tokens, fed through `stages`
    stages of 128 bytes of K. All but the smallest keep one block per multiprocessor: 227 KiB of shared memory.
    """

    var consumers: Int
    var max_tokens: Int
    var stages: Int
    var gathers: Bool
    """Whether each block gathers the rows of both matmuls itself, 16 bytes a copy. Otherwise the second's are fetched by the
    tensor memory accelerator, and so are the first's where there is a copy of them sorted by expert."""

    def few(self) -> Bool:
        """Whether it is for calls of few tokens: no barrier of the grid, words that tell when they are there."""
        return self.max_tokens == 8

    def threads(self) -> Int:
        """Threads of a block: the producer warpgroup and the consumers."""
        return (self.consumers + 1) * 128

    def weight_bytes(self) -> Int:
        """Bytes of weights in a stage."""
        return self.consumers * GROUP_ROWS * ROW_BYTES

    def token_bytes(self) -> Int:
        """Bytes of token rows in a stage."""
        return self.max_tokens * ROW_BYTES

    def tables_at(self) -> Int:
        """Where the tables of the schedule begin, in bytes."""
        return self.stages * (self.weight_bytes() + self.token_bytes())

    def table_words(self) -> Int:
        """Words of a table of the schedule: one for each expert, or for each that has pairs, and one more."""
        return (FEW_PAIRS if self.few() else MAX_EXPERTS) + 8

    def window_words(self) -> Int:
        """Words of the window of ids, with what a block sorts with; or of what few tokens need instead."""
        return 5 * FEW_PAIRS if self.few() else WINDOW + SORT_WORDS

    def shared_bytes(self) -> Int:
        """Shared memory of a block: stages, three tables, a window of ids, barriers, tiles the block is told of."""
        var words = 3 * self.table_words() + self.window_words() + TURNS * TURN_WORDS
        return self.tables_at() + words * 4 + (3 * self.stages + 2 * SUM_STAGES + TURNS) * 8

    def sum_bytes(self) -> Int:
        """Bytes of one of SUM_STAGES stages of expert outputs: SUM_ROWS times 16 bytes a consumer."""
        return SUM_ROWS * self.consumers * 128 * 16


comptime WIDE = Shape(consumers=2, max_tokens=160, stages=4, gathers=False)
"""256 weight rows by 160 tokens: many tokens per expert. 52 KiB a stage."""
comptime MEDIUM = Shape(consumers=1, max_tokens=160, stages=5, gathers=False)
"""128 weight rows by 160 tokens: too few tiles to fill the chip with WIDE ones."""
comptime NARROW = Shape(consumers=1, max_tokens=32, stages=10, gathers=True)
"""128 weight rows by 32 tokens: decode, bound by the stream of weights; 160 KiB of them in flight."""
comptime FEW = Shape(consumers=1, max_tokens=8, stages=13, gathers=True)
"""128 weight rows by 8 tokens: at most FEW_TOKENS tokens and FEW_PAIRS pairs; 208 KiB of weights in flight."""


@fieldwise_init
struct Block[dtype: DType, shape: Shape](TrivialRegisterPassable):
    """A block's shared memory.

    Parameters:
        dtype: Of the activations.
        shape: The compiled variant.
    """

    var base: Shared[DType.uint8]

    @inline(.always)
    def weights(self, stage: Int) -> Shared[Self.dtype]:
        """The weights of a stage, [consumers * 128] swizzled rows of 128 bytes."""
        return self.base.unsafe_offset(stage * Self.shape.weight_bytes()).unsafe_bitcast[Scalar[Self.dtype]]()

    @inline(.always)
    def tokens(self, stage: Int) -> Shared[Self.dtype]:
        """The token rows of a stage, [max_tokens] swizzled rows of 128 bytes."""
        comptime first = Self.shape.stages * Self.shape.weight_bytes()
        return self.base.unsafe_offset(first + stage * Self.shape.token_bytes()).unsafe_bitcast[Scalar[Self.dtype]]()

    @inline(.always)
    def table(self, i: Int) -> Shared[DType.int32]:
        """Table i of E + 1 words: 0 first row, 1 first tile of the first matmul, 2 first tile of the second.

        Of few tokens: an entry for each expert that has pairs, 0 first row, 1 the expert; 2 begins with their number.
        """
        return (
            self.base.unsafe_offset(Self.shape.tables_at())
            .unsafe_bitcast[Int32]()
            .unsafe_offset(i * Self.shape.table_words())
        )

    @inline(.always)
    def window(self) -> Shared[DType.int32]:
        """WINDOW expert ids. Of at most SOME_PAIRS pairs, in the end: the place of each, and in the second half their tokens,
        pairs sorted by expert."""
        return self.table(3)

    @inline(.always)
    def placed(self) -> Shared[DType.int32]:
        """Of at most SOME_PAIRS pairs, a word for each expert: its pairs that have a place."""
        return self.window().unsafe_offset(WINDOW)

    @inline(.always)
    def of_warps(self) -> Shared[DType.uint8]:
        """Likewise, four bytes for each expert: its pairs among those that each warp places."""
        return self.window().unsafe_offset(WINDOW + MAX_EXPERTS).unsafe_bitcast[UInt8]()

    @inline(.always)
    def totals(self) -> Shared[DType.int32]:
        """Four words for each warp: what it adds to the running sums of the tables."""
        return self.window().unsafe_offset(WINDOW + 2 * MAX_EXPERTS)

    @inline(.always)
    def full(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """One barrier a stage: its weights and token rows have landed."""
        return self.turn(TURNS).unsafe_bitcast[SharedMemBarrier]()

    @inline(.always)
    def few_ids(self) -> Shared[DType.int32]:
        """Of few tokens: the expert of each pair."""
        return self.window()

    @inline(.always)
    def few_tokens(self) -> Shared[DType.int32]:
        """Of few tokens: the token of each pair, pairs sorted by expert."""
        return self.window().unsafe_offset(FEW_PAIRS)

    @inline(.always)
    def few_places(self) -> Shared[DType.int32]:
        """Of few tokens: the sorted position of each pair."""
        return self.window().unsafe_offset(2 * FEW_PAIRS)

    @inline(.always)
    def few_gates(self) -> Shared[DType.float32]:
        """Of few tokens: the weight of each pair."""
        return self.window().unsafe_offset(3 * FEW_PAIRS).unsafe_bitcast[Float32]()

    @inline(.always)
    def logit_parts(self) -> Shared[DType.float32]:
        """Each warp's part of the logits of an expert, of two experts in turn: at the end of the window of ids."""
        comptime parts = 2 * 4 * (FEW_TOKENS if Self.shape.few() else SOME_TOKENS)
        comptime words = 5 * FEW_PAIRS if Self.shape.few() else WINDOW
        return self.window().unsafe_offset(words - parts).unsafe_bitcast[Float32]()

    @inline(.always)
    def launch(self) -> Shared[DType.uint32]:
        """The number of this launch, where words carry it: behind the third table."""
        return self.table(2).unsafe_offset(Self.shape.table_words() - 4).unsafe_bitcast[UInt32]()

    @inline(.always)
    def empty(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """One barrier a stage: all consumers are done with it."""
        return self.full().unsafe_offset(Self.shape.stages)

    @inline(.always)
    def sum_full(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """One barrier for each stage of the last step: its expert outputs have landed."""
        return self.empty().unsafe_offset(Self.shape.stages)

    @inline(.always)
    def sum_empty(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """One barrier for each stage of the last step: every warp of consumers is done with it."""
        return self.sum_full().unsafe_offset(SUM_STAGES)

    @inline(.always)
    def turned(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """One barrier for each of TURNS tiles that the block goes to: its words are there."""
        return self.sum_empty().unsafe_offset(SUM_STAGES)

    @inline(.always)
    def landed(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """As many barriers as stages, in turn: the gathered rows of a stage have landed."""
        return self.turned().unsafe_offset(TURNS)

    @inline(.always)
    def turn(self, i: Int) -> Shared[DType.int32]:
        """TURN_WORDS words of each of them: see `Turn`."""
        return self.window().unsafe_offset(Self.shape.window_words() + i * TURN_WORDS)

    @inline(.always)
    def summand_gates(self, stage: Int) -> Shared[DType.float32]:
        """The weights of the expert outputs of such a stage, [tokens side by side, SUM_ROWS], behind all its stages."""
        return (
            self.base.unsafe_offset(SUM_STAGES * Self.shape.sum_bytes())
            .unsafe_bitcast[Float32]()
            .unsafe_offset(stage * (SUM_ABREAST * SUM_ROWS))
        )

    @inline(.always)
    def summands(self, stage: Int) -> Shared[DType.uint8]:
        """The expert outputs of a stage of the last step, over the stages of the matmuls."""
        return self.base.unsafe_offset(stage * Self.shape.sum_bytes())
