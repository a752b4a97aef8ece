"""AMX: 16 rows times 16 columns of bfloat16 in one instruction, 32 terms at a time.

A product sums 16 pairs in float32 and adds them to the sum, rounding to nearest and taking denormals for zero,
whatever the thread's settings. Neither the other rows nor a split of K between products changes a bit of it.
"""

from std.collections import Array
from std.ffi import external_call
from std.sys import CompilationTarget, llvm_intrinsic

from .format import tiled
from .memory import Floats

# Linux keeps 8 KiB more per thread for the tile registers, and wants to be asked: arch_prctl, ARCH_REQ_XCOMP_PERM and
# the number of the registers' state.
comptime SYS_ARCH_PRCTL = 158
comptime REQUEST_PERMISSION = 0x1023
comptime TILE_DATA = 18

# The shape of the tile registers: palette 1, bytes of a row (16 bits each) from byte 16, rows from byte 48.
comptime SHAPE_BYTES = 64
comptime REGISTERS = 8
comptime ROWS = 16
comptime ROW_BYTES = 64


def may_use_tiles[dtype: DType]() -> Bool:
    """Whether `dtype` is multiplied by AMX here: the build can, and the system lets this process."""
    comptime if tiled[dtype]():
        return external_call["syscall", Int, num_fixed_args=1](SYS_ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0
    else:
        return False


def open_tiles[dtype: DType](tiles: Bool):
    """The tile registers of this thread have their shape, if `tiles` says that they are used.

    At the start of a region, because other libraries of the process shape them too; 70 ns.
    """
    comptime if tiled[dtype]():
        if tiles:
            var shape = Array[UInt8, SHAPE_BYTES](fill=0)
            shape[0] = 1
            for i in range(REGISTERS):
                shape[16 + 2 * i] = UInt8(ROW_BYTES)
                shape[48 + i] = UInt8(ROWS)
            llvm_intrinsic["llvm.x86.ldtilecfg", NoneType](Pointer(to=shape))


def close_tiles[dtype: DType](tiles: Bool):
    """The tile registers are nobody's: a switch of threads need not save them."""
    comptime if tiled[dtype]():
        if tiles:
            llvm_intrinsic["llvm.x86.tilerelease", NoneType]()


@always_inline
def zero_tile[register: Int]():
    """A tile of zeros."""
    llvm_intrinsic["llvm.x86.tilezero", NoneType](Int8(register))


@always_inline
def load_tile[register: Int](source: Floats, stride: Int):
    """16 rows of 16 words each, `stride` words apart."""
    llvm_intrinsic["llvm.x86.tileloadd64", NoneType](Int8(register), source, 4 * stride)


@always_inline
def stream_tile[register: Int](source: Floats, stride: Int):
    """As `load_tile`, leaving in L1 what is there."""
    llvm_intrinsic["llvm.x86.tileloaddt164", NoneType](Int8(register), source, 4 * stride)


@always_inline
def multiply_add[sum: Int, row: Int, weights: Int]():
    """A tile of sums grows by the product of a tile of rows with a tile of weights."""
    llvm_intrinsic["llvm.x86.tdpbf16ps", NoneType](Int8(sum), Int8(row), Int8(weights))


@always_inline
def store_tile[register: Int](target: Floats, stride: Int):
    """16 rows of 16 sums each, `stride` words apart."""
    llvm_intrinsic["llvm.x86.tilestored64", NoneType](Int8(register), target, 4 * stride)
