"""Both matmuls of a block of the kernel for small layers: weights on `wgmma`'s M side, rows of tokens on its N side.

Hidden rows stay in shared memory, over the token rows, which nobody needs by then.
"""

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
from hopper.ptx import wait_barrier
from hopper.shape import GROUP_ROWS
from hopper.small_parts import parts_of
from hopper.small_shape import COMPUTING, Part, SLAB_BYTES, SmallBlock, SmallShape
from hopper.stamp import stamp

comptime COMPUTING_BARRIER = 1
"""Named barrier of the threads that compute."""


@inline(.always)
def meet_computing():
    """Waits for the threads that compute."""
    wait_barrier[COMPUTING_BARRIER](COMPUTING)


@inline(.always)
def count_stages[dtype: DType, gated: Bool, shape: SmallShape](a: Layer[dtype], part: Part) -> Tuple[Int, Int]:
    """Stages of the first and of the second matmul: 64 of K each. An expert's last slice may be half a slice."""
    comptime most = shape.groups * GROUP_ROWS
    var rows = min(most, Int(a.rows1) - part.slice * most)
    return (Int(a.k0) // 64, (rows // 2 if gated else rows) // 64)


@inline(.always)
def skip_stages[
    dtype: DType, shape: SmallShape
](block: SmallBlock[dtype, shape], thread: Int, stages: Int, mut ring: Ring):
    """A block without rows: it must not end while weights are on their way to it."""
    for _ in range(stages):
        block.full()[unsafe_offset=ring.stage].wait(ring.parity)
        if thread % 128 == 0:
            _ = block.empty()[unsafe_offset=ring.stage].arrive()
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
    dtype: DType, shape: SmallShape, //, n: Int
](
    block: SmallBlock[dtype, shape],
    thread: Int,
    stages: Int,
    mut ring: Ring,
    mut low: StaticTuple[Float32, Share[shape.groups, n].tokens // 2],
    mut high: StaticTuple[Float32, Share[shape.groups, n].tokens // 2],
):
    """Weights of `stages` >= 1 stages times the slabs: rows 0-63 of the group in `low`, rows 64-127 in `high`."""
    comptime S = Share[shape.groups, n]
    comptime descriptor = WGMMADescriptor[dtype].create[64, 1, TensorMapSwizzle.SWIZZLE_128B]
    var share = S.of(thread // 128)

    @inline(.always)
    @__parameter
    def stage_product[first: Bool](slab: Int):
        block.full()[unsafe_offset=ring.stage].wait(ring.parity)
        var a = block.weights(ring.stage).unsafe_offset(share.group * (SLAB_BYTES // 2))
        var a_low = descriptor(a)
        var a_high = descriptor(a.unsafe_offset(64 * 64))
        var b = descriptor(block.rows(slab).unsafe_bitcast[Scalar[dtype]]().unsafe_offset(share.first_token * 64))
        wgmma_fence_aligned()
        comptime for k in range(4):
            comptime keep = 0 if first and k == 0 else 1
            low = wgmma_async[64, S.tokens, 16, a_type=dtype, b_type=dtype, scale_d=keep](
                a_low + k * 32, b + k * 32, low
            )
            high = wgmma_async[64, S.tokens, 16, a_type=dtype, b_type=dtype, scale_d=keep](
                a_high + k * 32, b + k * 32, high
            )
        wgmma_commit_group_sync()

    stage_product[True](0)
    var previous = ring.stage
    ring.advance[shape.stages()]()
    for slab in range(1, stages):
        stage_product[False](slab)
        wgmma_wait_group_sync[1]()
        if thread % 128 == 0:
            _ = block.empty()[unsafe_offset=previous].arrive()
        previous = ring.stage
        ring.advance[shape.stages()]()
    wgmma_wait_group_sync[0]()
    if thread % 128 == 0:
        _ = block.empty()[unsafe_offset=previous].arrive()


@inline(.always)
def first_matmul[
    dtype: DType, shape: SmallShape, //, gated: Bool, n: Int
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, thread: Int, stages: Int, mut ring: Ring):
    """Hidden rows: activation of first weights times token rows, left in the slabs."""
    comptime S = Share[shape.groups, n]
    comptime per_lane = 2 if gated else 4
    var low = StaticTuple[Float32, S.tokens // 2]()
    var high = StaticTuple[Float32, S.tokens // 2]()
    multiply[n](block, thread, stages, ring, low, high)
    stamp[5](a.sync, thread)
    var lane = Int(lane_id())
    var share = S.of(thread // 128)
    var within = share.group * (32 * per_lane) + thread % 128 // 32 * (8 * per_lane) + lane // 4 * per_lane
    var bias = SIMD[DType.float32, 4](0)
    if Int(a.b1) != 0:
        var width = Int(a.rows1) // (2 if gated else 1)
        var slice = part.slice * shape.groups * (32 * per_lane)
        # A last half slice has no second group; its share of the products is never read.
        if slice + within < width:
            var from_ = a.b1.unsafe_offset(part.expert * width + slice + within)
            comptime if gated:
                bias = SIMD[DType.float32, 4](from_[unsafe_offset=0], 0, from_[unsafe_offset=1], 0)
            else:
                bias = from_.unsafe_load[width=4, alignment=16]()
    # The thread's first token; its others are 8 apart, in neighbouring pairs. Slabs swizzle chunks of 8 features.
    var token = share.first_token + lane % 4 * 2
    var to = block.rows(within // 64).unsafe_offset(token * 128 + within % 8 * 2)
    var chunk = within % 64 // 8
    meet_computing()

    @inline(.always)
    @__parameter
    def store[kind: Int]():
        comptime for j in range(S.tokens // 8):
            comptime for side in range(2):
                var v = SIMD[DType.float32, 4](
                    low[j * 4 + side], low[j * 4 + 2 + side], high[j * 4 + side], high[j * 4 + 2 + side]
                )
                var h = SIMD[DType.float32, per_lane](0)
                comptime for i in range(per_lane):
                    comptime if gated:
                        h[i] = activate[kind](v[2 * i + 1], a.c0, a.c1) * (v[2 * i] + bias[2 * i])
                    else:
                        h[i] = activate[kind](v[i] + bias[i], a.c0, a.c1)
                to.unsafe_offset((j * 8 + side) * 128 + (chunk ^ (token % 8 + side)) * 16).unsafe_bitcast[
                    Scalar[dtype]
                ]().unsafe_store[alignment=2 * per_lane](h.cast[dtype]())

    if a.activation == RELU:
        store[RELU]()
    elif a.activation == GELU_ERF:
        store[GELU_ERF]()
    else:
        store[SIGMOID_FORM]()
    fence_async_view_proxy()
    meet_computing()


@inline(.always)
def second_matmul[
    dtype: DType, shape: SmallShape, //, n: Int
](a: Layer[dtype], block: SmallBlock[dtype, shape], part: Part, thread: Int, rows: Int, stages: Int, mut ring: Ring,):
    """This slice's part of the outputs of each row: second weights times hidden rows, [slices, T k, d_stride]."""
    comptime S = Share[shape.groups, n]
    var low = StaticTuple[Float32, S.tokens // 2]()
    var high = StaticTuple[Float32, S.tokens // 2]()
    multiply[n](block, thread, stages, ring, low, high)
    stamp[7](a.sync, thread)
    var lane = Int(lane_id())
    var share = S.of(thread // 128)
    var feature = share.group * GROUP_ROWS + thread % 128 // 32 * 32 + lane // 4 * 4
    var bias = SIMD[DType.float32, 4](0)
    if Int(a.b2) != 0 and part.slice == 0:
        bias = a.b2.unsafe_offset(part.expert * Int(a.d_stride) + feature).unsafe_load[width=4, alignment=16]()
    var token = share.first_token + lane % 4 * 2
    var first = (part.slice * Int(a.n_tokens) + part.first) * Int(a.top_k)
    var to = parts_of(a, block).unsafe_offset(first * Int(a.d_stride) + feature)
    comptime for j in range(S.tokens // 8):
        comptime for side in range(2):
            comptime at = j * 8 + side
            if token + at < rows:
                var v = SIMD[DType.float32, 4](
                    low[j * 4 + side], low[j * 4 + 2 + side], high[j * 4 + side], high[j * 4 + 2 + side]
                )
                var pair = Int(block.pairs()[unsafe_offset=token + at])
                # Volatile: the sum polls for the words themselves.
                to.unsafe_offset(pair * Int(a.d_stride)).unsafe_store[alignment=8, volatile=True](
                    (v + bias).cast[dtype]()
                )
