"""PTX instructions that the standard library does not name, one function each."""

from std.memory import bitcast
from std.sys import size_of
from std.sys._assembly import inlined_assembly
from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim, thread_idx

from hopper.memory import Shared, U32P


@inline(.always)
def copy_16_bytes_kept(dst: Shared[DType.uint8], src: Pointer[UInt8, MutUntrackedOrigin]):
    """As `copy_16_bytes`, of what the L2 cache should keep longest (`evict_last`)."""
    inlined_assembly[
        "cp.async.cg.shared.global.L2::cache_hint [$0], [$1], 16, $2;", NoneType, constraints="r,l,l,~{memory}"
    ](UInt32(Int(dst)), src, UInt64(0x14F0000000000000))


@inline(.always)
def copy_16_bytes(dst: Shared[DType.uint8], src: Pointer[UInt8, MutUntrackedOrigin]):
    """Starts an asynchronous copy of 16 bytes from global to shared memory, past L1."""
    inlined_assembly["cp.async.cg.shared.global [$0], [$1], 16;", NoneType, constraints="r,l,~{memory}"](
        UInt32(Int(dst)), src
    )


@inline(.always)
def arrive_after_copies(bar: UInt32):
    """Makes this thread's arrival at an mbarrier happen once its earlier asynchronous copies have landed."""
    inlined_assembly["cp.async.mbarrier.arrive.noinc.shared::cta.b64 [$0];", NoneType, constraints="r,~{memory}"](bar)


@inline(.always)
def copy_bulk(dst: Shared[DType.uint8], src: Pointer[UInt8, MutUntrackedOrigin], bytes: UInt32, bar: UInt32):
    """Starts a copy of `bytes` bytes, a multiple of 16, from global to shared memory, which the mbarrier `bar` counts; of what is
    not read again, so that the L2 cache keeps what else it has (`evict_first`).
    """
    inlined_assembly[
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [$0], [$1], $2, [$3], $4;",
        NoneType,
        constraints="r,l,r,r,l,~{memory}",
        has_side_effect=True,
    ](UInt32(Int(dst)), src, bytes, bar, UInt64(0x12F0000000000000))


@inline(.always)
def max_over_warp(v: UInt32) -> UInt32:
    """Returns the largest `v` of the warp's 32 lanes, in every lane."""
    return inlined_assembly["redux.sync.max.u32 $0, $1, 0xffffffff;", UInt32, constraints="=r,r", has_side_effect=True](
        v
    )


@inline(.always)
def add_over_warp(v: Int32) -> Int32:
    """Returns the sum of the warp's 32 lanes, in every lane."""
    return inlined_assembly["redux.sync.add.s32 $0, $1, 0xffffffff;", Int32, constraints="=r,r", has_side_effect=True](
        v
    )


@inline(.always)
def or_over_warp(v: UInt32) -> UInt32:
    """Returns the bits that any of the warp's 32 lanes has, in every lane."""
    return inlined_assembly["redux.sync.or.b32 $0, $1, 0xffffffff;", UInt32, constraints="=r,r", has_side_effect=True](
        v
    )


@inline(.always)
def shift_up(v: Int32, by: Int) -> Int32:
    """Returns the value of the lane `by` below; the first lanes get their own."""
    return inlined_assembly[
        "shfl.sync.up.b32 $0, $1, $2, 0, 0xffffffff;", Int32, constraints="=r,r,r", has_side_effect=True
    ](v, Int32(by))


@inline(.always)
def sum_over_warp[steps: Int = 5](v: Float32) -> Float32:
    """Returns the sum over the 2^steps lanes (all 32) that differ in the upper `steps` bits of their number: the same
    bits in each of them."""
    var s = v
    comptime for i in range(steps):
        s += inlined_assembly[
            "shfl.sync.bfly.b32 $0, $1, $2, 31, 0xffffffff;",
            Float32,
            constraints="=f,f,r",
            has_side_effect=True,
        ](s, Int32(16 >> i))
    return s


@inline(.always)
def reciprocal(v: Float32) -> Float32:
    """Returns 1 / v to one unit in the last place; a correctly rounded division costs eight instructions more."""
    return inlined_assembly["rcp.approx.ftz.f32 $0, $1;", Float32, constraints="=f,f"](v)


@inline(.always)
def opaque_zero() -> Int:
    """Returns 0 in a way the compiler cannot see through.

    Added to an address inside the tile loop, it keeps LLVM from hoisting all swizzled addresses out of the loop, which
    spilled hundreds of bytes of registers.
    """
    return Int(inlined_assembly["mov.u32 $0, 0;", UInt32, constraints="=r", has_side_effect=True]())


@inline(.always)
def pinned[dtype: DType, //, n: Int](v: SIMD[dtype, n]) -> SIMD[dtype, n]:
    """Returns `v`, at this place in the PTX: loads that stand before it stay before it.

    Left alone, the compiler puts each load right before the first use of its value; ptxas may still (see `after_all`).
    """
    comptime words = n * size_of[dtype]() // 4
    var w = bitcast[DType.uint32, words](v)
    comptime for i in range(words):
        w[i] = inlined_assembly["mov.b32 $0, $1;", UInt32, constraints="=r,r,~{memory}", has_side_effect=True](w[i])
    return bitcast[dtype, n](w)


@inline(.always)
def after_all[dtype: DType, count: Int, //, n: Int](v: StaticTuple[SIMD[dtype, n], count], never: Int32) -> UInt32:
    """Returns 0, but not before all `count` values have been loaded.

    Added to a sum that the first of them goes into, it keeps their loads in flight together. Without it ptxas puts each right
    before its use, even volatile ones and those whose values pass through inlined assembly, and every one is waited for.

    Args:
        v: What is loaded.
        never: Any number from 0 to 2^31 that the compilers cannot know.
    """
    comptime words = n * size_of[dtype]() // 4
    var some = UInt32(0)
    comptime for i in range(count):
        some |= bitcast[DType.uint32, words](v[i])[0]
    return some & UInt32(never >> 31)


@inline(.always)
def plus_zero[n: Int](v: SIMD[DType.float32, n], zero: UInt32) -> SIMD[DType.float32, n]:
    """Returns `v`, once `zero` (see `after_all`) is known."""
    return bitcast[DType.float32, n](bitcast[DType.uint32, n](v) | zero)


@inline(.always)
def add_release(p: U32P, v: UInt32) -> UInt32:
    """Adds `v` for the whole GPU to see; everything this thread saw written is visible to whoever acquires the sum."""
    return inlined_assembly[
        "atom.add.release.gpu.global.u32 $0, [$1], $2;",
        UInt32,
        constraints="=r,l,r,~{memory}",
        has_side_effect=True,
    ](p, v)


@inline(.always)
def add_relaxed(p: U32P, v: UInt32) -> UInt32:
    """Adds `v` for the whole GPU to see, and orders nothing."""
    return inlined_assembly[
        "atom.add.relaxed.gpu.global.u32 $0, [$1], $2;",
        UInt32,
        constraints="=r,l,r,~{memory}",
        has_side_effect=True,
    ](p, v)


@inline(.always)
def add_relaxed_64(p: U32P, v: UInt64) -> UInt64:
    """Adds `v` to the 64 bits at `p` for the whole GPU to see, and orders nothing."""
    return inlined_assembly[
        "atom.add.relaxed.gpu.global.u64 $0, [$1], $2;",
        UInt64,
        constraints="=l,l,l,~{memory}",
        has_side_effect=True,
    ](p, v)


@inline(.always)
def fence_async_global():
    """Orders this thread's view of device memory between ordinary accesses and those of the asynchronous copies.

    Rows written by ordinary stores are read through tensor maps: the fence stands after the stores and, once their
    writer has been heard of, before the copies.
    """
    inlined_assembly["fence.proxy.async.global;", NoneType, constraints="~{memory}", has_side_effect=True]()


@inline(.always)
def load_acquire(p: U32P) -> UInt32:
    """Reads a word that another block writes with `add_release`."""
    return inlined_assembly[
        "ld.acquire.gpu.global.u32 $0, [$1];", UInt32, constraints="=r,l,~{memory}", has_side_effect=True
    ](p)


@inline(.always)
def await_launch_before():
    """Waits until the launch before this one has ended and what it wrote is visible.

    A launch that overlaps with the one before (LaunchAttributeID.PROGRAMMATIC_STREAM_SERIALIZATION) may touch nothing but
    weights before.
    """
    inlined_assembly["griddepcontrol.wait;", NoneType, constraints="~{memory}", has_side_effect=True]()


@inline(.always)
def admit_next_launch():
    """Lets the next launch begin where blocks of this one have ended, once all blocks have said so; it waits by itself for
    what this one writes."""
    inlined_assembly["griddepcontrol.launch_dependents;", NoneType, constraints="~{memory}", has_side_effect=True]()


@inline(.always)
def wait_barrier[id: Int](threads: Int):
    """Waits until `threads` threads of the block have come to named barrier `id`."""
    inlined_assembly["bar.sync $0, $1;", NoneType, constraints="n,r,~{memory}", has_side_effect=True](
        Int32(id), Int32(threads)
    )


@inline(.always)
def arrive_barrier[id: Int](threads: Int):
    """Counts this warp in at named barrier `id` of `threads` threads, and goes on."""
    inlined_assembly["bar.arrive $0, $1;", NoneType, constraints="n,r,~{memory}", has_side_effect=True](
        Int32(id), Int32(threads)
    )


@inline(.always)
def broadcast(v: Int32, lane: Int) -> Int32:
    """Returns the value that a lane of the warp has."""
    return inlined_assembly[
        "shfl.sync.idx.b32 $0, $1, $2, 31, 0xffffffff;", Int32, constraints="=r,r,r", has_side_effect=True
    ](v, Int32(lane))


@inline(.always)
def ballot(v: Bool) -> UInt32:
    """Returns one bit a lane of the warp: whether its `v` holds."""
    return inlined_assembly[
        "{ .reg .pred p; setp.ne.u32 p, $1, 0; vote.sync.ballot.b32 $0, p, 0xffffffff; }",
        UInt32,
        constraints="=r,r",
        has_side_effect=True,
    ](UInt32(1) if v else UInt32(0))


@inline(.always)
def match_any(v: Int32) -> UInt32:
    """Returns one bit a lane of the warp: whether its `v` is this lane's."""
    return inlined_assembly["match.any.sync.b32 $0, $1, 0xffffffff;", UInt32, constraints="=r,r", has_side_effect=True](
        v
    )


@inline(.always)
def add_shared(p: Shared[DType.int32], v: Int32):
    """Adds `v` to a word of the block's shared memory; whoever else adds to it may do so at the same time."""
    inlined_assembly["red.shared.add.s32 [$0], $1;", NoneType, constraints="r,r,~{memory}", has_side_effect=True](
        UInt32(Int(p)), v
    )


@inline(.always)
def store_if_above[dtype: DType, //, n: Int, i: Int](to: UInt64, v: SIMD[dtype, n], end: Int32):
    """Stores n numbers, 4, 8 or 16 bytes, at the address `to` where end > i. No branch, so that what is stored next needs not wait
    for this."""
    comptime words = n * size_of[dtype]() // 4
    comptime test = "{ .reg .pred p; setp.gt.s32 p, $1, $2; @p st.global."
    var w = bitcast[DType.uint32, words](v)
    comptime if words == 1:
        inlined_assembly[test + "b32 [$0], $3; }", NoneType, constraints="l,r,n,r,~{memory}", has_side_effect=True](
            to, end, Int32(i), w[0]
        )
    elif words == 2:
        inlined_assembly[
            test + "v2.b32 [$0], {$3, $4}; }", NoneType, constraints="l,r,n,r,r,~{memory}", has_side_effect=True
        ](to, end, Int32(i), w[0], w[1])
    else:
        inlined_assembly[
            test + "v4.b32 [$0], {$3, $4, $5, $6}; }",
            NoneType,
            constraints="l,r,n,r,r,r,r,~{memory}",
            has_side_effect=True,
        ](to, end, Int32(i), w[0], w[1], w[2], w[3])


@inline(.always)
def next_address(at: UInt64, step: UInt64) -> UInt64:
    """Returns at + step, in a way the compiler cannot see through: it made all addresses of a tile's rows ahead of the first
    store, two registers each."""
    return inlined_assembly["add.s64 $0, $1, $2;", UInt64, constraints="=l,l,l", has_side_effect=True](at, step)


@inline(.always)
def store_if_below(to: U32P, v: SIMD[DType.uint32, 2], i: Int32, end: Int32):
    """Stores 8 bytes where i < end, for others of the GPU to poll for. No branch, so that a next store's address needs not wait
    for this one."""
    inlined_assembly[
        "{ .reg .pred p; setp.lt.s32 p, $3, $4; @p st.relaxed.gpu.global.v2.b32 [$0], {$1, $2}; }",
        NoneType,
        constraints="l,r,r,r,r,~{memory}",
        has_side_effect=True,
    ](to, v[0], v[1], i, end)


@inline(.always)
def pack_relu[dtype: DType](low: Float32, high: Float32) -> UInt32:
    """Returns max(v, 0) of both, rounded to two bytes each. NaN stays NaN."""
    comptime if dtype == DType.bfloat16:
        return inlined_assembly["cvt.rn.relu.bf16x2.f32 $0, $1, $2;", UInt32, constraints="=r,f,f"](high, low)
    return inlined_assembly["cvt.rn.relu.f16x2.f32 $0, $1, $2;", UInt32, constraints="=r,f,f"](high, low)


@inline(.always)
def count_bits(v: UInt32) -> Int32:
    """Returns how many bits of `v` are set."""
    return inlined_assembly["popc.b32 $0, $1;", Int32, constraints="=r,r"](v)


@inline(.always)
def arrive_cluster():
    """Counts this thread in at the cluster's barrier, and goes on; orders nothing but a fence before it."""
    inlined_assembly["barrier.cluster.arrive.relaxed;", NoneType, constraints="~{memory}", has_side_effect=True]()


@inline(.always)
def wait_cluster():
    """Waits until all threads of the cluster have come to `arrive_cluster`."""
    inlined_assembly["barrier.cluster.wait.acquire;", NoneType, constraints="~{memory}", has_side_effect=True]()


@inline(.always)
def in_block(address: UInt32, rank: UInt32) -> UInt32:
    """Returns where the shared memory at `address` lies in block `rank` of the cluster."""
    return inlined_assembly["mapa.shared::cluster.u32 $0, $1, $2;", UInt32, constraints="=r,r,r"](address, rank)


@inline(.always)
def arrive_in_block(bar: UInt32):
    """Arrives at an mbarrier of another block of the cluster (`in_block`).

    Without `.release.cluster`, which would be a fence of the whole GPU.
    """
    inlined_assembly[
        "mbarrier.arrive.shared::cluster.b64 _, [$0];", NoneType, constraints="r,~{memory}", has_side_effect=True
    ](bar)


@inline(.always)
def send_bulk(dst: UInt32, src: Shared[DType.uint8], bytes: UInt32, bar: UInt32):
    """Starts a copy of `bytes` bytes, a multiple of 16, to another block's shared memory, which that block's mbarrier counts.
    """
    inlined_assembly[
        "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [$0], [$1], $2, [$3];",
        NoneType,
        constraints="r,r,r,r,~{memory}",
        has_side_effect=True,
    ](dst, UInt32(Int(src)), bytes, bar)


@inline(.always)
def store_word_if_below(to: U32P, v: UInt32, i: Int32, end: Int32):
    """As `store_if_below`, 4 bytes."""
    inlined_assembly[
        "{ .reg .pred p; setp.lt.s32 p, $2, $3; @p st.relaxed.gpu.global.u32 [$0], $1; }",
        NoneType,
        constraints="l,r,r,r,~{memory}",
        has_side_effect=True,
    ](to, v, i, end)
