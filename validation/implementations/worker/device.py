"""Where a kernel's tensors lie, and how a call on them is timed: the host's memory and clock, or a GPU's.

Both know the memory that the parent shares by offsets into it. On a GPU that memory has a twin on the device: poison,
guards and all are copied there before a block, each input just before its call, and everything back after the block.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    import torch

#: The clock, taken before any kernel is loaded: patching `time` later does not reach it.
CLOCK = time.perf_counter_ns

#: Written before a call with cold caches: twice an H200's 60 MB of L2, and half as much again.
FLUSHED_BYTES = 192 << 20

#: Written by a call that computes nothing: four times a core's L2 of 2 MB. Without it the harness's own work between
#: one token's calls takes 13 us, and after a kernel's 32 to 68.
_DISTURBED_BYTES = 8 << 20

#: How long the GPU spins before a call that is to be queued: 100 us at an H200's 1.98 GHz. To ask for a graph and for
#: the events around it took 10 to 40 us: behind a spin of 20 us a replay of 16 us was seen as 20 to 35.
_SPUN_CYCLES = 200_000

Description = dict[str, Any]
Timed = tuple[Any, int, int]


class Host:
    """Tensors lie in the shared memory itself."""

    name = "cpu"

    def __init__(self) -> None:
        """Holds no memory yet."""
        self._shared: torch.Tensor | None = None
        self._memory: mmap.mmap | None = None
        self._scratch: torch.Tensor | None = None

    def to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        """Returns the tensor where kernels run."""
        return tensor

    def used_bytes(self) -> int:
        """Returns the bytes of the device's memory in use: none here, the parent sees the host's from outside."""
        return 0

    def map(self, memory: mmap.mmap) -> None:
        """Takes the memory shared with the parent."""
        self._shared, self._memory = bytes_of(memory), memory

    def words(self, places: list[int]) -> list[int]:
        """Returns 16-bit words of the shared memory, as what runs on the device sees them now; `places` count words."""
        assert self._memory is not None
        # Indices of a map are looked up by nothing that a kernel can replace.
        return [self._memory[2 * place] | self._memory[2 * place + 1] << 8 for place in places]

    def tensor(self, where: Description) -> torch.Tensor:
        """Returns the tensor that `where` places."""
        assert self._shared is not None
        return tensor_in(self._shared, where)

    def begin(self, end: int) -> None:
        """The block's memory, up to `end`, is as the parent left it."""

    def revealed(self, where: Description) -> None:
        """An input was put into the shared memory."""

    def poison(self, where: Description) -> None:
        """An output is to be as the parent left it."""

    def flush(self) -> None:
        """Caches hold nothing of the kernel's."""
        raise ValueError("cold caches are measured on a GPU only")

    def disturb(self, result: Any, _x: torch.Tensor) -> Any:  # noqa: ANN401 -- as what it is given
        """Returns `result`, as a kernel that computes nothing and leaves in the caches what a kernel leaves there."""
        import torch  # noqa: PLC0415 -- as below

        if self._scratch is None:
            self._scratch = torch.zeros(_DISTURBED_BYTES, dtype=torch.uint8)
        self._scratch.add_(1)
        return result

    def time(self, call: Callable[[], Any], *, queued: bool = False) -> Timed:
        """Returns what the call returned, and its time by the device's clock and by the host's, ns.

        A `queued` call finds a GPU at work, as it does in a stream of work, so that asking for it costs nothing.
        """
        del queued
        started = CLOCK()
        result = call()
        elapsed = CLOCK() - started
        return result, elapsed, elapsed

    def wait(self) -> None:
        """Everything that was asked of the device is done."""

    def finish(self, end: int) -> None:
        """The parent sees what the block made of its memory, up to `end`."""


class Cuda(Host):
    """Tensors lie on the first GPU; calls are timed by events on the current stream, and by the host to the end of all.

    A kernel that leaves work on another stream is shorter by its events than by the host. What is called here is taken
    from torch before any kernel is loaded.
    """

    name = "cuda"

    def __init__(self, device: str = "cuda:0") -> None:
        """Opens the GPU and creates its context, in nobody's measured time."""
        import torch  # noqa: PLC0415 -- a worker of the CPU never needs it here

        super().__init__()
        if not torch.cuda.is_available():
            raise RuntimeError("a CUDA GPU is needed; PyTorch sees none")
        self._twin: torch.Tensor | None = None
        self._flushed: torch.Tensor | None = None
        self._device = torch.device(device)
        torch.zeros(1, device=self._device).add_(1)
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        self._start, self._end, self._between = start.record, end.record, partial(start.elapsed_time, end)
        self._synchronize = torch.cuda.synchronize
        self._free = torch.cuda.mem_get_info
        self._spin: Callable[[int], None] = torch.cuda._sleep  # noqa: SLF001 -- torch has no other name for it
        self.wait()

    def to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        """Returns a copy on the GPU."""
        return tensor.to(self._device)

    def used_bytes(self) -> int:
        """Returns the bytes of the GPU's memory that anybody uses."""
        free, total = self._free(self._device)
        return int(total - free)

    def map(self, memory: mmap.mmap) -> None:
        """Takes the memory shared with the parent, and as much on the GPU."""
        import torch  # noqa: PLC0415 -- as above

        super().map(memory)
        self._twin = None
        self._twin = torch.empty(len(memory), dtype=torch.uint8, device=self._device)

    def words(self, places: list[int]) -> list[int]:
        """Returns 16-bit words of the GPU's twin."""
        import torch  # noqa: PLC0415 -- as above

        assert self._twin is not None
        found = self._twin[: len(self._twin) // 2 * 2].view(torch.int16)[
            torch.tensor(places, dtype=torch.int64, device=self._device)
        ]
        return [word & 0xFFFF for word in found.tolist()]

    def tensor(self, where: Description) -> torch.Tensor:
        """Returns the tensor that `where` places, on the GPU."""
        assert self._twin is not None
        return tensor_in(self._twin, where)

    def begin(self, end: int) -> None:
        """Copies poison and guards to the GPU."""
        self._copy(0, end)

    def revealed(self, where: Description) -> None:
        """Copies an input to the GPU and waits until it is there."""
        self._copy(where["offset"], where["offset"] + where["bytes"])
        self.wait()

    def poison(self, where: Description) -> None:
        """Copies an output's poison once more."""
        self._copy(where["offset"], where["offset"] + where["bytes"])

    def disturb(self, result: Any, _x: torch.Tensor) -> Any:  # noqa: ANN401 -- as what it is given
        """Returns `result`: the host's caches are the asking's."""
        return result

    def flush(self) -> None:
        """Writes more than the L2 holds, and waits."""
        import torch  # noqa: PLC0415 -- as above

        if self._flushed is None:
            self._flushed = torch.empty(FLUSHED_BYTES, dtype=torch.uint8, device=self._device)
        self._flushed.fill_(1)
        self.wait()

    def time(self, call: Callable[[], Any], *, queued: bool = False) -> Timed:
        """Returns what the call returned, its time between events, and by the host until the GPU had nothing to do."""
        if queued:
            self._spin(_SPUN_CYCLES)
        started = CLOCK()
        self._start()
        result = call()
        self._end()
        self._synchronize()
        elapsed = CLOCK() - started
        return result, round(self._between() * 1e6), elapsed

    def wait(self) -> None:
        """Waits for every stream of the GPU."""
        self._synchronize()

    def finish(self, end: int) -> None:
        """Copies everything back."""
        assert self._twin is not None
        assert self._shared is not None
        self._shared[:end].copy_(self._twin[:end])
        self.wait()

    def _copy(self, start: int, stop: int) -> None:
        assert self._twin is not None
        assert self._shared is not None
        self._twin[start:stop].copy_(self._shared[start:stop])


def tensor_in(memory: torch.Tensor, description: Description) -> torch.Tensor:
    """Returns the tensor that `description` (offset, shape, dtype, maybe strides) places in `memory`, its bytes."""
    import torch  # noqa: PLC0415 -- a worker that never gets a layer never loads it

    dtype, shape, offset = getattr(torch, description["dtype"]), description["shape"], description["offset"]
    strides = description.get("strides")
    count = 1
    for size in shape:
        count *= size
    if count == 0:
        return torch.empty(shape, dtype=dtype, device=memory.device)
    span = count if strides is None else _span(shape, strides)
    flat = memory[offset : offset + span * dtype.itemsize].view(dtype)
    return flat.view(shape) if strides is None else flat.as_strided(shape, strides)


def bytes_of(memory: mmap.mmap) -> torch.Tensor:
    """Returns the mapped memory as a tensor of bytes over it."""
    import torch  # noqa: PLC0415 -- as above

    return torch.frombuffer(memory, dtype=torch.uint8)


def _span(shape: list[int], strides: list[int]) -> int:
    """Elements between the first and the last of a strided view, both included."""
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
