"""Compiles the widest bfloat16 variant alone, so that its PTX can be looked at without a GPU: `--emit asm`."""

from max.gpu.host import DeviceContext

from hopper.launch import Variant
from hopper.shape import WIDE


def main() raises:
    """Never run: only its PTX is wanted."""
    _ = Variant[DType.bfloat16, False, WIDE](DeviceContext())
