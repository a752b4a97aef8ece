"""Kernels that do a part of the layer's work alone (floors.ptx), launched as the layer is."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

COOPERATIVE, OVERLAPPING = 2, 6  # CUlaunchAttributeID
MOST_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
BLOCK_BYTES = 227 * 1024
#: What `stream` fetches at a time.
BOX = 16384


class Attribute(ctypes.Structure):
    """CUlaunchAttribute: a number, 64 bytes of a value."""

    _fields_ = (("id", ctypes.c_int), ("pad", ctypes.c_int), ("value", ctypes.c_int * 16))


class Launch(ctypes.Structure):
    """CUlaunchConfig."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3), ("block", ctypes.c_uint * 3), ("shared", ctypes.c_uint),
        ("stream", ctypes.c_void_p), ("attributes", ctypes.POINTER(Attribute)), ("n", ctypes.c_uint),
    )  # fmt: skip


class Floors:
    """The kernels of floors.ptx, in PyTorch's context."""

    def __init__(self) -> None:
        torch.zeros(1, device="cuda")
        self.cuda = ctypes.CDLL("libcuda.so.1")
        self.module = ctypes.c_void_p()
        text = Path(__file__).with_name("floors.ptx").read_bytes() + b"\0"
        self.check(self.cuda.cuModuleLoadData(ctypes.byref(self.module), text))

    @staticmethod
    def check(status: int) -> None:
        """Raises on a CUDA error."""
        if status:
            raise RuntimeError(f"CUDA error {status}")

    def kernel(self, name: str, blocks: int, threads: int, *how: int, shared: int = BLOCK_BYTES) -> Callable[..., None]:
        """A function of the kernel's arguments that enqueues it as the layer's are: a block a multiprocessor."""
        f = ctypes.c_void_p()
        self.check(self.cuda.cuModuleGetFunction(ctypes.byref(f), self.module, name.encode()))
        self.check(self.cuda.cuFuncSetAttribute(f, MOST_SHARED, shared))
        attributes = (Attribute * 2)(*(Attribute(id=i, value=(ctypes.c_int * 16)(1)) for i in how))

        def enqueue(*arguments: Any) -> None:
            stream = torch.cuda.current_stream().cuda_stream
            launch = Launch((blocks, 1, 1), (threads, 1, 1), shared, stream, attributes, len(how))
            pointers = (ctypes.c_void_p * 4)(*(ctypes.addressof(a) for a in arguments))
            self.check(self.cuda.cuLaunchKernelEx(ctypes.byref(launch), f, pointers, None))

        return enqueue
