"""Words that tell when they are there, for calls of few tokens: 4 bytes of a value beside the number of the launch that wrote
them, stored together (NCCL's LL protocol).

Who needs a value reads until the number beside it is this launch's. So nobody waits for a fence, a counter and a second
read, there is no barrier of the grid, and nothing has to be cleared: a word of another launch has another number.
"""

from std.utils.static_tuple import StaticTuple
from max.gpu import block_idx, grid_dim

from hopper.layer import Layer
from hopper.memory import U32P
from hopper.ptx import add_relaxed_64

comptime LAUNCH_WORD = 128
"""The word of `sync` where 64 bits begin whose upper half counts launches; far from what else is there."""


@inline(.always)
def launch_number[dtype: DType](a: Layer[dtype]) -> UInt32:
    """One thread of each block: the number of this launch, never 0 for the first 2^32. The blocks add up to 2^32."""
    var step = UInt64(1)
    if block_idx.x == 0:
        step = (UInt64(1) << 32) - UInt64(grid_dim.x) + 1
    return UInt32(add_relaxed_64(a.sync.unsafe_offset(LAUNCH_WORD), step) >> 32) + 1


@inline(.always)
def store_words[n: Int](to: U32P, values: SIMD[DType.uint32, n], number: UInt32):
    """Stores n values from word `to` on, 16-byte aligned where there are two and more."""
    comptime if n == 1:
        to.unsafe_store[alignment=8](SIMD[DType.uint32, 2](values[0], number))
    else:
        comptime for i in range(n // 2):
            to.unsafe_offset(4 * i).unsafe_store[alignment=16](
                SIMD[DType.uint32, 4](values[2 * i], number, values[2 * i + 1], number)
            )


@inline(.always)
def load_two(from_: U32P) -> SIMD[DType.uint32, 4]:
    """Two words, past the L1 cache: value, number, value, number."""
    return from_.unsafe_load[width=4, alignment=16, volatile=True]()


@inline(.always)
def load_word(from_: U32P) -> SIMD[DType.uint32, 2]:
    """One word, past the L1 cache: value, number."""
    return from_.unsafe_load[width=2, alignment=8, volatile=True]()


@inline(.always)
def lacks(words: SIMD[DType.uint32, 4], number: UInt32) -> UInt32:
    """Returns 0 if both words are there."""
    return (words[1] ^ number) | (words[3] ^ number)


@inline(.always)
def missing[count: Int, //](words: StaticTuple[SIMD[DType.uint32, 4], count], number: UInt32) -> UInt32:
    """Returns 0 if all words are there."""
    var some = UInt32(0)
    comptime for i in range(count):
        some |= lacks(words[i], number)
    return some


@inline(.always)
def await_two(from_: U32P, loaded: SIMD[DType.uint32, 4], number: UInt32) -> SIMD[DType.uint32, 4]:
    """The two words at `from_` once both are there; `loaded` is a first look at them."""
    var words = loaded
    while lacks(words, number) != 0:
        words = load_two(from_)
    return words
