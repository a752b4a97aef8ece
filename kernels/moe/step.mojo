"""One step of a sum: a vector of packed weights loaded, and multiplied and added."""

from std.memory import bitcast
from std.sys import CompilationTarget, inlined_assembly, llvm_intrinsic

from .ablation import SCALAR
from .activation import RELU, activate
from .format import LANES, TILE_VECTORS, Vec, bytes_of, paired
from .memory import Bytes, Floats


@always_inline
def multiply_add[dtype: DType](activation: Float32, weights: Vec, sum: Vec) -> Vec:
    """`sum + activation * weights`, where both hold a pair of bfloat16 in each word when `dtype` is paired."""
    comptime if paired[dtype]():
        comptime Pairs = SIMD[DType.bfloat16, 2 * LANES]
        return llvm_intrinsic["llvm.x86.avx512bf16.dpbf16ps.512", Vec, has_side_effect=False](
            sum, bitcast[DType.bfloat16, 2 * LANES](Vec(activation)), bitcast[DType.bfloat16, 2 * LANES](weights)
        )
    else:
        comptime if SCALAR:
            return _alone(Vec(activation).fma(_alone(weights), sum))
        else:
            return Vec(activation).fma(weights, sum)


@always_inline
def _alone(sum: Vec) -> Vec:
    """The same sum, of which the compiler knows no longer that its neighbour is computed alike.

    No instruction. Without it LLVM packs the sums of neighbouring columns into one register, and scalar is not scalar.
    """
    # x86: v is any of the 32 registers of AVX-512, x one of the first 16.
    comptime many = CompilationTarget.has_avx512f()
    comptime register = "=v,0" if many else ("=x,0" if CompilationTarget.is_x86() else "=w,0")
    return inlined_assembly["", Vec, constraints=register, has_side_effect=False](sum)


@always_inline
def load[dtype: DType](weights: Bytes, offset: Int) -> Vec:
    """One vector of packed words: as they are when float32 or paired, widened to float32 otherwise."""
    comptime if paired[dtype]():
        return weights.unsafe_bitcast[Float32]().unsafe_load[width=LANES, alignment=4 * LANES](offset)
    else:
        comptime alignment = LANES * bytes_of[dtype]()
        var words = weights.unsafe_bitcast[Scalar[dtype]]().unsafe_load[width=LANES, alignment=alignment](offset)
        return words.cast[DType.float32]()


@always_inline
def vector_bytes[dtype: DType]() -> Int:
    """The size of one vector of packed words."""
    return LANES * (4 if paired[dtype]() else bytes_of[dtype]())


@always_inline
def finished[relu: Bool](sum: Vec) -> Vec:
    comptime if relu:
        return activate[RELU](sum)
    else:
        return sum


@no_inline
def widen_panel[dtype: DType](steps: Int, weights: Bytes, step_stride: Int, target: Floats):
    """`target` [steps, PANEL] holds steps of a packed panel of 16-bit weights in float32.

    Widening is two instructions a vector on the ports that multiply: a tile that does it for itself spends a seventh of
    its time so. Done once for all tiles of a block, float16 takes the time of float32.
    """
    for step in range(steps):
        comptime for j in range(TILE_VECTORS):
            var loaded = load[dtype](weights.unsafe_offset(step * step_stride), j * LANES)
            target.unsafe_store(step * TILE_VECTORS * LANES + j * LANES, loaded)
