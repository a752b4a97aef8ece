"""The speed probe of a GPU: one fixed bfloat16 matmul, again and again for about two milliseconds."""

from typing import Any, Final

import torch

from validation.performance.gpu_state import GpuState
from validation.performance.nvml import Nvml

#: Large enough that every multiprocessor is busy (1024 tiles of 128 x 128), small enough to be over in 0.2 ms.
SIDE: Final = 4096
#: 10 products of 137 GFLOP take 1.8 ms at 770 TFLOP/s: long against the events' half microsecond, and too short to
#: heat the chip.
PRODUCTS: Final = 10


class CudaProbe:
    """Reads how fast the GPU multiplies now, from this process, where no kernel under test can reach.

    The operands are random: on zeros a GPU draws less power and runs faster.
    """

    def __init__(self, device: str = "cuda:0", nvml: Nvml | None = None) -> None:
        """Takes 100 MB of the GPU's memory; `nvml` is opened here unless it is given."""
        generator = torch.Generator(device).manual_seed(0)
        self._a, self._b = (
            torch.randn((SIDE, SIDE), generator=generator, device=device).to(torch.bfloat16) for _ in range(2)
        )
        self._out = torch.empty_like(self._a)
        self._nvml = nvml or Nvml.open()
        self()

    def __call__(self) -> float:
        """Returns FLOP/s of the matmul, after one that is not timed: a GPU that idled needs it to raise its clock."""
        torch.mm(self._a, self._b, out=self._out)
        start, end = (_event() for _ in range(2))
        start.record()
        for _ in range(PRODUCTS):
            torch.mm(self._a, self._b, out=self._out)
        end.record()
        torch.cuda.synchronize()
        return float(2 * SIDE**3 * PRODUCTS / (start.elapsed_time(end) * 1e-3))

    def state(self) -> GpuState | None:
        """Returns the GPU's clocks, power, temperature and throttle reasons, None where nobody tells them."""
        return None if self._nvml is None else self._nvml.state()

    def energy_j(self) -> float | None:
        """Returns the energy the GPU has used so far."""
        return None if self._nvml is None else self._nvml.energy_j()


def _event() -> Any:  # noqa: ANN401 -- torch's events have no types
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
