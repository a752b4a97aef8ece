"""Sizes of the kernel for small layers, fixed when it is compiled, and the layout of its shared memory."""

from max.gpu import block_idx

from hopper.layer import Layer
from hopper.memory import Shared
from hopper.schedule import divide
from layout.tma_async import SharedMemBarrier

comptime RANGE = 128
"""Most tokens a block looks at: eight warps, sixteen each."""
comptime WIDTHS = [16, 48, 80, RANGE]
"""Token rows that the matmuls are compiled for. Half of a range, give or take an eighth, is what an expert of four gets of two
choices."""
comptime CHOICES = 4
"""Most experts a token may choose."""
comptime EXPERTS = 8
"""Most experts of a layer: a multiplication by the router's weights gives four lanes two logits each."""
comptime ROUTER_COPIES = 8
"""Copies of the router's weights, one behind the other."""
comptime SLAB_BYTES = RANGE * 128
"""128 bytes of K of every token row, or of 128 weight rows: one tensor map's box."""
comptime COMPUTING = 256
"""Threads that compute: two warpgroups."""
comptime THREADS = COMPUTING + 32
"""And a warp that fetches weights."""
comptime READY_BARRIER = 2
"""Named barrier of all threads: counts and the set of parts are in shared memory."""
comptime ASKED_BARRIER = 3
"""Named barrier of all threads: rows are on their way, so that weights may follow."""

comptime HIDDEN_BARRIER = 4
"""Named barrier of all threads: a pair's hidden rows are in shared memory."""

comptime HALF_BARRIER = 5
"""Named barrier of all threads: half of them are."""


@fieldwise_init
struct SmallShape(TrivialRegisterPassable):
    """A compiled variant: a block has `groups` * 128 weight rows of each matmul, one or two warpgroups' worth.

    The model dimension is at most `groups` * 128. Instructions of other activations would lie between those that run, and
    who jumps over them waits for the next.
    """

    var groups: Int
    var relu: Bool
    """Whether the activation is ReLU."""
    var paired: Bool
    """Whether two blocks, a cluster, share their hidden rows and each makes half of the outputs' features (small_pair.mojo)."""

    def stages(self) -> Int:
        """Stages of weights in flight: as many as fit; one group never needs more than four."""
        return 5 if self.groups == 2 else 4

    def first_stages(self) -> Int:
        """Stages of the first matmul, 64 of K each; beyond K they are zeros."""
        return self.groups * 2

    def second_stages(self, gated: Bool) -> Int:
        """Stages of the second matmul, 64 hidden features each; where a slice has fewer they are zeros."""
        return self.groups if gated else self.groups * 2

    def refilled(self, gated: Bool) -> Int:
        """How many stages, the first ones, another follows in its place."""
        if self.paired:
            return 1 if gated else 2
        return max(0, self.first_stages() + self.second_stages(gated) - self.stages())

    def slabs(self) -> Int:
        """Slabs of token rows or hidden rows."""
        return self.groups * 2

    def shared_bytes(self) -> Int:
        """Shared memory of a block: stages, slabs, the list of rows, gates, counts, the set of parts, barriers."""
        return (
            self.stages() * self.groups * SLAB_BYTES
            + self.slabs() * SLAB_BYTES
            + RANGE * 4
            + RANGE * CHOICES * 4
            + 40
            + self.barriers() * 8
        )

    def barriers(self) -> Int:
        """Barriers: two for each stage; of a pair, fourteen for stages, of which none comes again, and five more."""
        return 19 if self.paired else 2 * self.stages()


comptime SMALL_SHAPES = 6
"""Compiled variants."""


def small_shape(number: Int) -> SmallShape:
    """The variant of a number: d up to 256, d up to 128, pairs; the same of other activations than ReLU."""
    return SmallShape(groups=1 if number % 3 == 1 else 2, paired=number % 3 == 2, relu=number < 3)


@fieldwise_init
struct SmallBlock[dtype: DType, shape: SmallShape](TrivialRegisterPassable):
    """A block's shared memory.

    Parameters:
        dtype: Of activations and weights: two bytes.
        shape: The compiled variant.
    """

    var base: Shared[DType.uint8]

    @inline(.always)
    def weights(self, stage: Int) -> Shared[Self.dtype]:
        """The weights of a stage, [groups * 128] swizzled rows of 128 bytes."""
        return self.base.unsafe_offset(stage * (Self.shape.groups * SLAB_BYTES)).unsafe_bitcast[Scalar[Self.dtype]]()

    @inline(.always)
    def rows(self, slab: Int) -> Shared[DType.uint8]:
        """128 bytes of the K of every token row; later, of every hidden row: the tokens are read by then."""
        comptime first = Self.shape.stages() * Self.shape.groups * SLAB_BYTES
        return self.base.unsafe_offset(first + slab * SLAB_BYTES)

    @inline(.always)
    def places(self) -> Shared[DType.int32]:
        """Where the part of each row goes: its pair (token * top_k + choice, from the range's first) times d_stride."""
        return self.rows(Self.shape.slabs()).unsafe_bitcast[Int32]()

    @inline(.always)
    def gates(self) -> Shared[DType.float32]:
        """Weights of the range's pairs."""
        return self.places().unsafe_offset(RANGE).unsafe_bitcast[Float32]()

    @inline(.always)
    def counts(self) -> Shared[DType.int32]:
        """How many of each warp's tokens chose this block's expert."""
        return self.gates().unsafe_offset(RANGE * CHOICES).unsafe_bitcast[Int32]()

    @inline(.always)
    def set(self) -> Shared[DType.int32]:
        """Which of the two sets of parts this launch fills."""
        return self.counts().unsafe_offset(8)

    @inline(.always)
    def full(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """One barrier a stage: its weights have landed."""
        return self.set().unsafe_offset(2).unsafe_bitcast[SharedMemBarrier]()

    @inline(.always)
    def empty(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """One barrier a stage: both warpgroups are done with it."""
        return self.full().unsafe_offset(8 if Self.shape.paired else Self.shape.stages())

    @inline(.always)
    def ready(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """Of a pair: the other block has done with the stages that this one's hidden rows go to."""
        return self.full().unsafe_offset(13)

    @inline(.always)
    def landed(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """Of a pair, one barrier a slab: the other block's hidden rows are here."""
        return self.full().unsafe_offset(14)

    @inline(.always)
    def late(self) -> Pointer[SharedMemBarrier, MutUntrackedOrigin, address_space=AddressSpace.SHARED]:
        """Of a pair: the last box of weights has landed."""
        return self.full().unsafe_offset(18)

    @inline(.always)
    def received(self, slab: Int, rows: Int) -> Shared[DType.uint8]:
        """Of a pair: 128 bytes of every hidden row of the other block, `rows` of them to a slab, over the third and the fourth
        stage."""
        return self.base.unsafe_offset(2 * Self.shape.groups * SLAB_BYTES + slab * rows * 128)


@fieldwise_init
struct Part(TrivialRegisterPassable):
    """What a block works on: a range of tokens, an expert, and a slice of its hidden features."""

    var index: Int
    """Which range of tokens."""
    var member: Int
    """Which of the range's blocks."""
    var members: Int
    var expert: Int
    var slice: Int
    var first: Int
    """First token of the range."""
    var tokens: Int
    """Tokens of the range."""

    @staticmethod
    @inline(.always)
    def of[dtype: DType](a: Layer[dtype]) -> Self:
        """This block's part."""
        var slices = Int(a.splits)
        var members = Int(a.n_experts) * slices
        var index = divide(Int(block_idx.x), members)
        var member = Int(block_idx.x) - index * members
        var expert = divide(member, slices)
        var first = index * Int(a.tokens1)
        var tokens = min(Int(a.tokens1), Int(a.n_tokens) - first)
        return Self(index, member, members, expert, member - expert * slices, first, tokens)
