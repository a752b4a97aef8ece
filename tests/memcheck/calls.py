"""Run under valgrind by `python -m tests.memcheck`: the kernel's library on buffers of exactly the bytes it was told.

`python calls.py LIBRARY [beyond]`. The standard library alone, so that little else runs under valgrind. With `beyond`
the kernel is told of one token more than there is, which valgrind must see.
"""

import ctypes
import importlib.machinery
import importlib.util
import random
import struct
import sys
from typing import Any, Final

FLOAT32, BFLOAT16, FLOAT16 = 0, 1, 2
#: tokens, d_model, d_ff, experts, top_k: ones, edges of vectors and tiles, and no multiple of anything.
SHAPES: Final = ((1, 1, 1, 1, 1), (5, 17, 33, 4, 2), (0, 16, 16, 3, 3), (33, 63, 65, 7, 3), (70, 32, 48, 17, 17))
#: activation, gated, renormalize, biases, router kind, groups, top groups, scaling, shared d_ff, float32 router.
OPTIONS: Final = (
    (0, 0, 1, 0, 0, 1, 1, 1.0, 0, 0),
    (3, 1, 0, 1, 0, 1, 1, 1.0, 0, 0),
    (1, 0, 1, 1, 1, 1, 1, 2.5, 19, 1),
)

_libc = ctypes.CDLL(None)
_libc.malloc.restype = ctypes.c_void_p
_libc.malloc.argtypes = [ctypes.c_size_t]
_libc.free.argtypes = [ctypes.c_void_p]


class Buffers:
    """Blocks of libc's malloc, each exactly as long as what it holds."""

    def __init__(self) -> None:
        self._blocks: list[int] = []

    def numbers(self, count: int, dtype: int) -> int:
        """The address of so many small random numbers."""
        values = [random.uniform(-0.5, 0.5) for _ in range(count)]
        if dtype == BFLOAT16:
            data = b"".join(struct.pack("<f", value)[2:] for value in values)
        else:
            data = struct.pack(f"<{count}{'e' if dtype == FLOAT16 else 'f'}", *values)
        address = self.empty(len(data))
        ctypes.memmove(address, data, len(data))
        return address

    def empty(self, size: int) -> int:
        """The address of so many bytes that nobody has written."""
        address = _libc.malloc(size)
        assert address
        self._blocks.append(address)
        return int(address)

    def free(self) -> None:
        for block in self._blocks:
            _libc.free(block)


def call(  # noqa: PLR0913, PLR0917 -- all that a call is
    kernel: Any, pool: int, shape: tuple[int, ...], dtype: int, options: tuple[Any, ...], beyond: int
) -> None:
    """Prepares a layer, makes one call of it and releases it."""
    tokens, d, f, experts, top_k = shape
    activation, gated, renormalize, biased, router, groups, top_groups, scaling, shared, float32_router = options
    buffers = Buffers()

    def given(count: int, there: int = 1, kind: int = dtype) -> int:
        return buffers.numbers(count, kind) if there else 0

    routed = FLOAT32 if float32_router else dtype
    addresses = (
        given(d * experts, kind=routed),
        given(experts, biased, routed),
        given(experts, int(router == 1), FLOAT32),
        given(experts * d * f),
        given(experts * f, biased),
        given(experts * f * d),
        given(experts * d, biased),
        given(experts * d * f, gated),
        given(d * shared, shared),
        given(shared, shared and biased),
        given(shared * d, shared),
        given(d, shared and biased),
        given(d * shared, shared and gated),
    )
    numbers = (d, f, experts, top_k, activation, gated, renormalize, router, groups, top_groups, scaling, shared)
    layer = kernel.prepare_layer(pool, dtype, (*numbers, float32_router), addresses)
    size = 4 if dtype == FLOAT32 else 2
    x, out = given(tokens * d), buffers.empty(tokens * d * size)
    ids, weights, loss = buffers.empty(4 * tokens * top_k), buffers.empty(4 * tokens * top_k), buffers.empty(4)
    kernel.forward_layer(layer, x, out, tokens + beyond, ids, weights, loss)
    # Asks whether every byte was written: valgrind tells of a decision that rests on one that was not.
    for address, count in ((out, tokens * d * size), (ids, 4 * tokens * top_k), (weights, 4 * tokens * top_k)):
        ctypes.string_at(address, count).count(b"\x00")
    kernel.release_layer(layer)
    buffers.free()


def main() -> None:
    library, beyond = sys.argv[1], int(len(sys.argv) > 2)
    loader = importlib.machinery.ExtensionFileLoader("moe_kernel", library)
    spec = importlib.util.spec_from_loader("moe_kernel", loader)
    assert spec is not None
    kernel = importlib.util.module_from_spec(spec)
    loader.exec_module(kernel)
    random.seed(1)
    pool = kernel.start_pool(2)
    made = 0
    for shape in SHAPES[1:2] if beyond else SHAPES:
        for dtype in (FLOAT32, BFLOAT16, FLOAT16):
            for options in OPTIONS:
                call(kernel, pool, shape, dtype, options, beyond)
                made += 1
    print("calls", made)  # noqa: T201 -- what the parent reads


if __name__ == "__main__":
    main()
