"""A float32 as the sum of two numbers that the tensor cores read whole."""

from std.memory import bitcast


@inline(.always)
def rounded_to_tf32[width: Int](v: SIMD[DType.float32, width]) -> SIMD[DType.float32, width]:
    """`v` rounded to TF32's 10 bits of mantissa, half away from zero; the tensor cores read no more of a float32.

    Of the two halves `high = rounded(v)` and `rounded(v - high)` at most the last bit of `v` is lost, either way. Cut off,
    they lost up to three, always towards zero: a logit of two products was off by 6e-7 of itself.
    """
    var bits = bitcast[DType.uint32, width](v)
    # Next to the largest number rounding would make infinity; infinity and NaN stay what they are.
    var half = (
        (bits & 0x7F800000).lt(0x7F000000).select(SIMD[DType.uint32, width](0x1000), SIMD[DType.uint32, width](0))
    )
    return bitcast[DType.float32, width]((bits + half) & 0xFFFFE000)
