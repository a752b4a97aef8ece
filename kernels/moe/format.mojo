"""The shapes of registers and packed words: everything that depends on the target's vector unit.

| target              | LANES | registers | TILE_ROWS x PANEL | accumulators |
|---------------------|-------|-----------|-------------------|--------------|
| AVX-512             | 16    | 32        | 12 x 32           | 24           |
| AVX2                | 8     | 16        | 6 x 16            | 12           |
| 128-bit, 32 or 16   | 4     | 32 / 16   | 12 x 8 / 6 x 8    | 24 / 12      |

With AMX a tile of bfloat16 is 32 x 32, in four of eight tile registers (amx_matmul.mojo).

A step of a tile loads 2 vectors of weights and broadcasts TILE_ROWS activations for 2 * TILE_ROWS multiply-adds: 14
loads per 24 on AVX-512. Two loads and two multiply-adds start per cycle, so loads stay below 60 % of their ports. A
6 x 64 tile needs 10 loads, but reads each weight from L2 twice as often.
"""

from std.sys import CompilationTarget, simd_width_of, size_of

from .ablation import ONE_SUM, ROW_MAJOR, RUN_TIME_TILE, SCALAR

comptime LANES = 1 if SCALAR else simd_width_of[DType.float32]()
comptime Vec = SIMD[DType.float32, LANES]
comptime Mask = SIMD[DType.bool, LANES]

comptime MANY_REGISTERS = CompilationTarget.has_avx512f() or not CompilationTarget.is_x86()
comptime TILE_ROWS = 12 if MANY_REGISTERS else 6
comptime TILE_VECTORS = 2
comptime PANEL = TILE_VECTORS * LANES

# AMX holds 16 rows of 64 bytes in a tile register; a tile of ours is two of them high, a panel two wide.
comptime AMX_ROWS = 32
# Steps, pairs of terms, that one tile product takes at a time.
comptime AMX_STEPS = 16
# Floats of two blocks of sums, which are on their way to hidden units while the next is multiplied.
comptime AMX_SUMS = 2 * AMX_ROWS * PANEL


def paired[dtype: DType]() -> Bool:
    """Whether `dtype` is multiplied two products at a time (vdpbf16ps), from words that hold neighbours in K."""
    return dtype == DType.bfloat16 and CompilationTarget._has_feature["avx512bf16"]() and not SCALAR


def tiled[dtype: DType]() -> Bool:
    """Whether `dtype` is multiplied by AMX, 16 rows by 32 terms by 16 columns at a time, where the system lets us."""
    comptime has_tiles = CompilationTarget._has_feature["amx-bf16"]()
    return paired[dtype]() and has_tiles and not ONE_SUM and not RUN_TIME_TILE


def tile_rows[dtype: DType]() -> Int:
    """Rows of the tallest tile of `dtype`."""
    return AMX_ROWS if tiled[dtype]() else TILE_ROWS


def widened[dtype: DType]() -> Bool:
    """Whether packed weights of `dtype` are 16 bits wide and become float32 before they are multiplied."""
    return bytes_of[dtype]() == 2 and not paired[dtype]()


def operand[dtype: DType]() -> DType:
    """What activations are held as while they wait for a matmul: the layer's dtype if multiplied as such, else float32.
    """
    return dtype if paired[dtype]() else DType.float32


def steps[dtype: DType](k: Int) -> Int:
    """How many tile steps a product over `k` terms takes: `k`, or half of it when paired, rounded up to whole pairs or
    to what AMX multiplies at a time."""
    comptime if tiled[dtype]():
        return (k + 2 * AMX_STEPS - 1) // (2 * AMX_STEPS) * AMX_STEPS
    else:
        return (k + 1) // 2 if paired[dtype]() else k


def chunk_steps[dtype: DType]() -> Int:
    """Steps of K that a thread finishes for all rows of a block before it goes on.

    A panel's share of them, 128 KiB in float32, stays in L2 beside the block's rows. AMX reads a panel eight times as
    fast, and wants it in L1: 32 KiB of 48.
    """
    return 256 if tiled[dtype]() else 1024


def terms[dtype: DType](k: Int) -> Int:
    """How many operands the steps of a product over `k` terms read: `k`, and what fills the last step up."""
    return 2 * steps[dtype](k) if paired[dtype]() else k


def bytes_of[dtype: DType]() -> Int:
    """The size of one element."""
    return size_of[Scalar[dtype]]()


def step_bytes[dtype: DType]() -> Int:
    """The size of one step of a packed panel."""
    return PANEL * (4 if paired[dtype]() else bytes_of[dtype]())


def panel_stride[dtype: DType](k: Int) -> Int:
    """Bytes from one packed panel of a [k, n] matrix to the next."""
    return step_bytes[dtype]() if ROW_MAJOR else panel_bytes[dtype](k)


def step_stride[dtype: DType](panels: Int) -> Int:
    """Bytes from one step of a packed panel to the next, in a matrix of so many panels."""
    return panels * step_bytes[dtype]() if ROW_MAJOR else step_bytes[dtype]()


def panel_bytes[dtype: DType](k: Int) -> Int:
    """The size of one packed panel [steps, PANEL] of a [k, n] matrix."""
    return steps[dtype](k) * step_bytes[dtype]()
