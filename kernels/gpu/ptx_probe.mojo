"""Compiles the hot bfloat16 variants and one of float32 alone, so that their PTX can be looked at without a GPU: `--emit asm`."""

from max.gpu.host import DeviceContext

from hopper.launch import SmallVariant, Variant
from hopper.shape import FEW, NARROW, WIDE
from hopper.small_shape import small_shape


def main() raises:
    """Never run: only its PTX is wanted."""
    var ctx = DeviceContext()
    _ = Variant[DType.bfloat16, False, WIDE](ctx)
    _ = Variant[DType.bfloat16, False, NARROW](ctx)
    _ = Variant[DType.bfloat16, False, FEW](ctx)
    _ = Variant[DType.float32, False, WIDE](ctx)
    _ = SmallVariant[DType.bfloat16, False, small_shape(2)](ctx)
