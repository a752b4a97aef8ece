"""Both matmuls of a block of the kernel for small layers: weights on `wgmma`'s M side, rows of tokens on its N side.

Hidden rows stay in shared memory, over the token rows, which nobody needs by then.
"""

from std.memory import bitcast
from std.sys import size_of
from std.utils.static_tuple import StaticTuple
from max.gpu import lane_id
from max.gpu.compute.mma import (
    WGMMADescriptor,
    wgmma_async,
    wgmma_commit_group_sync,
    wgmma_fence_aligned,
    wgmma_wait_group_sync,
)
from max.gpu.host.nvidia.tma import TensorMapSwizzle
from max.gpu.memory import fence_async_view_proxy

from hopper.activation import activate
from hopper.layer import GELU_ERF, Layer, RELU, SIGMOID_FORM
from hopper.producer import Ring
from hopper.ptx import arrive_barrier, broadcast, opaque_zero, pack_relu, store_if_below, wait_barrier
from hopper.shape import GROUP_ROWS
from hopper.small_pair import tell_ready
from hopper.small_parts import parts_of
from hopper.small_shape import (
    COMPUTING,
    HALF_BARRIER,
    HIDDEN_BARRIER,
    Part,
    SLAB_BYTES,
    SmallBlock,
    SmallShape,
    THREADS,
)
from hopper.stamp import stamp

comptime COMPUTING_BARRIER = 1
"""Named barrier of the threads that compute."""


@inline(.always)
def meet_computing():
    """Waits for the threads that compute."""
    wait_barrier[COMPUTING_BARRIER](COMPUTING)


@inline(.always)
def skip_stages[dtype: DType, shape: SmallShape, //, gated: Bool](block: SmallBlock[dtype, shape], thread: Int):
    """A block without rows: it must not end while weights are on their way to it."""
    var ring = Ring(0, 0)
    for _ in range(shape.first_stages() + shape.second_stages(gated)):
        block.full()[unsafe_offset=ring.stage()].wait(ring.parity)
        if thread % 128 == 0:
            _ = block.empty()[unsafe_offset=ring.stage()].arrive()
        ring.advance[shape.stages()]()


@fieldwise_init
struct Share[groups: Int, n: Int](TrivialRegisterPassable):
    """Which weight rows and tokens of a product are a warpgroup's: one group is shared by halving the tokens.

    Parameters:
        groups: Groups of 128 weight rows.
        n: Token rows, a multiple of 16.
    """

    comptime tokens = Self.n if Self.groups == 2 else Self.n // 2

    var group: Int
    var first_token: Int

    @staticmethod
    @inline(.always)
    def of(warpgroup: Int) -> Self:
        """The share of a warpgroup."""
        comptime if Self.groups == 2:
            return Self(warpgroup, 0)
        return Self(0, warpgroup * (Self.n // 2))


@inline(.always)
def multiply[
    dtype: DType, shape: SmallShape, //, n: Int, first_stage: Int, stages: Int, refilled: Int
](
    block: SmallBlock[dtype, shape],
    thread: Int,
    mut low: StaticTuple[Float32, Share[shape.groups, n].tokens // 2],
    mut high: StaticTuple[Float32, Share[shape.groups, n].tokens // 2],
):
    """Weights of `stages` stages from `first_stage` on times the slabs: rows 0-63 of the group in `low`, rows 64-127 in `high`.

    Stages and addresses are fixed when this is compiled: a loop that finds them takes longer than the tensor cores.

    Parameters:
        dtype: Of weights and rows.
        shape: The compiled variant.
        n: Token rows.
        first_stage: Of the block's stages, counted through both matmuls.
        stages: How many.
        refilled: Stages whose place another takes: the first so many.
    """
    comptime S = Share[shape.groups, n]
    comptime descriptor = WGMMADescriptor[dtype].create[64, 1, TensorMapSwizzle.SWIZZLE_128B]
    # The same in all lanes, so that descriptors stay in registers of the whole warp; and not what other widths' are made from,
    # or the compiler would keep them all.
    var share = S.of(Int(broadcast(Int32(thread // 128), 0)))
    var a = descriptor(block.weights(0).unsafe_offset(share.group * (SLAB_BYTES // 2))) + opaque_zero()
    var b = (
        descriptor(block.rows(0).unsafe_bitcast[Scalar[dtype]]().unsafe_offset(share.first_token * 64)) + opaque_zero()
    )
    comptime for s in range(stages):
        comptime place = (first_stage + s) % shape.stages()
        comptime at = place * shape.groups * SLAB_BYTES
        block.full()[unsafe_offset=place].wait(UInt32((first_stage + s) // shape.stages()))
        wgmma_fence_aligned()
        comptime for k in range(4):
            comptime keep = 0 if s == 0 and k == 0 else 1
            low = wgmma_async[64, S.tokens, 16, a_type=dtype, b_type=dtype, scale_d=keep](
                a + (at + k * 32), b + (s * SLAB_BYTES + k * 32), low
            )
            high = wgmma_async[64, S.tokens, 16, a_type=dtype, b_type=dtype, scale_d=keep](
                a + (at + 64 * 128 + k * 32), b + (s * SLAB_BYTES + k * 32), high
            )
        wgmma_commit_group_sync()
        comptime if s > 0 and first_stage + s - 1 < refilled:
            wgmma_wait_group_sync[1]()
            if thread % 128 == 0:
                _ = block.empty()[unsafe_offset=first_stage + s - 1].arrive()
    wgmma_wait_group_sync[0]()
    comptime if first_stage + stages - 1 < refilled:
        if thread % 128 == 0:
            _ = block.empty()[unsafe_offset=first_stage + stages - 1].arrive()


@inline(.always)
def add_bias[
    count: Int, //
](mut low: StaticTuple[Float32, count], mut high: StaticTuple[Float32, count], bias: SIMD[DType.float32, 4]):
    """Adds the biases of a thread's four features, of two tokens at a time."""
    comptime for i in range(count):
        low[i] = low[i] + bias[i // 2 % 2]
        high[i] = high[i] + bias[2 + i // 2 % 2]


@inline(.always)
def first_matmul[
    dtype: DType, shape: SmallShape, //, gated: Bool, n: Int
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, thread: Int):
    """Hidden rows: activation of first weights times token rows, left in the slabs."""
    comptime S = Share[shape.groups, n]
    comptime per_lane = 2 if gated else 4
    var low = StaticTuple[Float32, S.tokens // 2]()
    var high = StaticTuple[Float32, S.tokens // 2]()
    comptime stages = shape.first_stages()
    multiply[n, 0, stages, shape.refilled(gated)](block, thread, low, high)
    stamp[5](a.sync, thread)
    var lane = Int(lane_id())
    var share = S.of(thread // 128)
    var within = share.group * (32 * per_lane) + thread % 128 // 32 * (8 * per_lane) + lane // 4 * per_lane
    if Int(a.b1) != 0:
        var bias = SIMD[DType.float32, 4](0)
        var width = Int(a.rows1) // (2 if gated else 1)
        var slice = part.slice * shape.groups * (32 * per_lane)
        # A last half slice has no second group; its share of the products is never read.
        if slice + within < width:
            var from_ = a.b1.unsafe_offset(part.expert * width + slice + within)
            comptime if gated:
                bias = SIMD[DType.float32, 4](from_[unsafe_offset=0], 0, from_[unsafe_offset=1], 0)
            else:
                bias = from_.unsafe_load[width=4, alignment=16]()
        add_bias(low, high, bias)
    # The thread's first token; its others are 8 apart, in neighbouring pairs. Slabs swizzle chunks of 8 features.
    var token = share.first_token + lane % 4 * 2
    var to = block.rows(within // 64).unsafe_offset(token * 128 + within % 8 * 2)
    var chunk = within % 64 // 8
    meet_computing()
    comptime if shape.paired:
        tell_ready(block, part, thread)

    @inline(.always)
    @__parameter
    def store[kind: Int]():
        comptime for j in range(S.tokens // 8):
            comptime for side in range(2):
                var v = SIMD[DType.float32, 4](
                    low[j * 4 + side], low[j * 4 + 2 + side], high[j * 4 + side], high[j * 4 + 2 + side]
                )
                var at = to.unsafe_offset((j * 8 + side) * 128 + (chunk ^ (token % 8 + side)) * 16)
                comptime if kind == RELU and not gated:
                    at.unsafe_bitcast[UInt32]().unsafe_store[alignment=8](
                        SIMD[DType.uint32, 2](pack_relu[dtype](v[0], v[1]), pack_relu[dtype](v[2], v[3]))
                    )
                else:
                    var h = SIMD[DType.float32, per_lane](0)
                    comptime for i in range(per_lane):
                        comptime if gated:
                            h[i] = activate[kind](v[2 * i + 1], a.c0, a.c1) * v[2 * i]
                        else:
                            h[i] = activate[kind](v[i], a.c0, a.c1)
                    at.unsafe_bitcast[Scalar[dtype]]().unsafe_store[alignment=2 * per_lane](h.cast[dtype]())
            comptime if shape.paired and j == S.tokens // 16 - 1:
                # Half of the rows are sent while the others are made.
                fence_async_view_proxy()
                arrive_barrier[HALF_BARRIER](THREADS)

    comptime if shape.relu:
        store[RELU]()
    else:
        if a.activation == GELU_ERF:
            store[GELU_ERF]()
        else:
            store[SIGMOID_FORM]()
    fence_async_view_proxy()
    comptime if shape.paired:
        wait_barrier[HIDDEN_BARRIER](THREADS)
    else:
        meet_computing()


@inline(.always)
def second_matmul[
    dtype: DType, shape: SmallShape, //, gated: Bool, n: Int
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, thread: Int, rows: Int):
    """This slice's part of the outputs of each row: second weights times hidden rows, [slices, T k, d_stride]."""
    comptime S = Share[shape.groups, n]
    var low = StaticTuple[Float32, S.tokens // 2]()
    var high = StaticTuple[Float32, S.tokens // 2]()
    comptime stages = shape.second_stages(gated)
    multiply[n, shape.first_stages(), stages, shape.refilled(gated)](block, thread, low, high)
    stamp[7](a.sync, thread)
    var lane = Int(lane_id())
    var share = S.of(thread // 128)
    var feature = share.group * GROUP_ROWS + thread % 128 // 32 * 32 + lane // 4 * 4
    if Int(a.b2) != 0 and part.slice == 0:
        add_bias(
            low,
            high,
            a.b2.unsafe_offset(part.expert * Int(a.d_stride) + feature).unsafe_load[width=4, alignment=16](),
        )
    var token = share.first_token + lane % 4 * 2
    var first = (part.slice * Int(a.n_tokens) + part.first) * Int(a.top_k)
    var to = parts_of(a, block).unsafe_offset(first * Int(a.d_stride) + feature)
    comptime pairs = S.tokens // 8
    comptime at_once = pairs if S.tokens <= 80 else pairs // 4
    comptime for first_pair in range(0, pairs, at_once):
        var places = StaticTuple[SIMD[DType.int32, 2], at_once]()
        comptime for i in range(at_once):
            places[i] = block.places().unsafe_offset(token + (first_pair + i) * 8).unsafe_load[width=2, alignment=8]()
        comptime for i in range(at_once):
            comptime j = first_pair + i
            comptime for side in range(2):
                var v = SIMD[DType.float32, 4](
                    low[j * 4 + side], low[j * 4 + 2 + side], high[j * 4 + side], high[j * 4 + 2 + side]
                )
                store_if_below(
                    to.unsafe_offset(Int(UInt32(places[i][side]))).unsafe_bitcast[UInt32](),
                    bitcast[DType.uint32, 2](v.cast[dtype]()),
                    Int32(token + j * 8 + side),
                    Int32(rows),
                )
