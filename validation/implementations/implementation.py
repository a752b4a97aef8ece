"""An implementation: anything that computes the layer through `prepare(layer) -> forward`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from validation.implementations.multiplied import multiplied


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """Where the code of an implementation is, and what it can do.

    `source` and `function` name a `prepare`. A trusted implementation is one of ours in reference/: it may share a
    process with others. The candidate never does. `environment` is added to the worker's. `most_flops` is the work of
    the largest call worth waiting for, some 300 ms of the slow ones: a process makes at least 30; `most_scalar_flops`
    that of PyTorch's forms in a 16-bit dtype that this CPU has no instructions for.
    With `graph` the harness captures its calls in CUDA graphs, and what is timed is a graph's replay.
    One that is `published_only` leaves out what the published layer does not have, as sigmoid routers.
    `program` is one it cannot do without, as the C++ baselines a compiler; empty when it needs none.
    An ablation is the kernel under validation built with `defines`, switches that take one technique away; such a one
    takes part until `most_pairs` of its processes count. `sha256` is that of a kernel's source when it was named: every
    process must load the same.
    """

    name: str
    source: Path
    function: str = "prepare"
    family: str
    description: str
    dtypes: frozenset[str] = frozenset({"float32"})
    devices: frozenset[str] = frozenset({"cpu"})
    trusted: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    most_flops: float | None = None
    most_scalar_flops: float | None = None
    graph: bool = False
    published_only: bool = False
    program: str = ""
    defines: tuple[str, ...] = ()
    sha256: str = ""
    most_pairs: int | None = None

    def takes(self, flops: float, dtype: str, device: str) -> bool:
        """Whether it runs a call of that much work in that dtype on that device in reasonable time."""
        bounds = [self.most_flops]
        if device == "cpu" and not multiplied(dtype):
            bounds.append(self.most_scalar_flops)
        in_time = all(most is None or flops <= most for most in bounds)
        return dtype in self.dtypes and device in self.devices and in_time

    def too_slow(self, flops: float, dtype: str) -> str:
        """Returns why it does not take a call of that much work on a CPU."""
        scalar = self.most_scalar_flops is not None and not multiplied(dtype)
        why = f", as PyTorch has no instructions of this CPU for {dtype}" if scalar else ""
        return f"a call of {flops / 1e9:.3g} GFLOP would take too long{why}"

    @property
    def home(self) -> Literal["cpu", "cuda"]:
        """The device a candidate is run on: the GPU where it runs on nothing else."""
        return "cuda" if self.devices == frozenset({"cuda"}) else "cpu"
