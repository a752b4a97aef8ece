"""A layer's weights in one sealed file that any number of workers map, each copy-on-write."""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import torch

from validation.implementations.arena import stage

if TYPE_CHECKING:
    from types import TracebackType

    from validation.workloads.layer import Layer

#: Tensors start on pages: what an allocator gives a large array.
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLayer:
    """What a worker is told of a layer: its config, the file of its weights, and where in it each tensor lies."""

    config: dict[str, Any]
    top_k: int
    d_model: int
    dtype: torch.dtype
    descriptor: int
    size: int
    tensors: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, layer: Layer) -> SharedLayer:
        """Writes the layer's weights once; nobody, this process included, can change them afterwards."""
        tensors, chunks, at = {}, [], 0
        for field in fields(layer):
            tensor = getattr(layer, field.name)
            if isinstance(tensor, torch.Tensor):
                data = stage(tensor.contiguous())
                dtype = str(tensor.dtype).partition(".")[2]
                tensors[field.name] = {"offset": at, "shape": list(tensor.shape), "dtype": dtype}
                chunks.append((at, data))
                at = -(-(at + data.size) // _PAGE) * _PAGE
        size = max(at, _PAGE)
        return cls(
            config=asdict(layer.config),
            top_k=layer.config.top_k,
            d_model=layer.config.d_model,
            dtype=getattr(torch, layer.config.dtype),
            descriptor=_sealed_file(size, chunks),
            size=size,
            tensors=tensors,
        )

    def close(self) -> None:
        """Gives the file back once the last worker that maps it is gone."""
        with suppress(OSError):
            os.close(self.descriptor)

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()


def _sealed_file(size: int, chunks: list[tuple[int, Any]]) -> int:
    descriptor = os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    with mmap.mmap(descriptor, size) as memory:
        for offset, data in chunks:
            np.frombuffer(memory, np.uint8, count=data.size, offset=offset)[:] = data
    # With F_SEAL_WRITE the file can still be mapped copy-on-write, which is how workers map it.
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
