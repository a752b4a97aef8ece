"""Who is examined, what for, and the processes it is run in."""

from __future__ import annotations

import math
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from validation.correctness.option import ANY_INPUT, LOWEST_ID_WINS, find_options
from validation.correctness.runner import in_worker
from validation.correctness.spec import PLAIN, LayerVariant
from validation.correctness.suite import Candidate
from validation.implementations.failure import ImplementationFailed, WorkerEnded
from validation.implementations.limits import Limits
from validation.implementations.process import Worker
from validation.usage import UsageError

if TYPE_CHECKING:
    from types import TracebackType

    import torch

    from validation.correctness.attempt import Run
    from validation.correctness.option import Option
    from validation.implementations.implementation import Implementation
    from validation.implementations.mailbox import Doing
    from validation.workloads.layer import Layer

#: A case is 0.2 GFLOP at most, half a second for plain Python; what a compiler takes for a first call is more.
LIMITS: Final = Limits(seconds=60.0, memory_bytes=4 << 30)

#: A pace is taken from calls of so many tokens, and believed of calls of more than so many.
_LEAST_TOKENS: Final = 32
_MANY_TOKENS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A candidate and the layer it is for: `base` in `dtype`.

    `kernel` is how it was named on the command line, None for the Mojo kernel, which is held to everything. `require`
    names options that it must deal with beside the base, and promises that it must keep. With `any_dtype` nobody said
    which dtype it is for: `dtype`, or the first of the others where it declines that one.
    """

    implementation: Implementation
    threads: int
    kernel: str | None = None
    base: LayerVariant = PLAIN
    dtype: str = "float32"
    require: tuple[str, ...] = ()
    any_dtype: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is this project's kernel for CPUs, which has every option and is asked all of them.

        The one for GPUs declares what it has.
        """
        return self.implementation.family == "mojo" and self.implementation.home == "cpu"

    @property
    def candidate(self) -> Candidate:
        """How it is judged."""
        repro = "moe-validation check" + (f" --kernel {shlex.quote(self.kernel)}" if self.kernel else "")
        repro += " --device cuda" if self.implementation.home == "cuda" else ""
        return Candidate(
            name=self.implementation.name,
            required=self.base,
            strict=self.ours or ANY_INPUT in self.require,
            lowest_id_wins=self.ours or LOWEST_ID_WINS in self.require,
            repro=repro,
        )

    def required(self) -> tuple[Option, ...]:
        """The options it must deal with.

        Raises:
            UsageError: an option is not known.
        """
        return find_options(self.require, self.base, self.dtype)


#: A worker with so many threads more than after its first call is not given another layer: of a kernel that left a busy
#: thread behind with every layer, 64 cases of smoke had not ended after ten minutes, under a load of 47.
_MORE_THREADS: Final = 2


class Running:
    """Runs the candidate in a worker, and in a new one after it took the last along or left it full of threads."""

    def __init__(self, subject: Subject, heard: list[Doing]) -> None:
        """Starts nothing yet; what the kernel is reported to do is added to `heard`."""
        self._heard = heard
        self._subject = subject
        self._worker: Worker | None = None
        self._run: Run | None = None
        self._layer: Layer | None = None
        self._first_threads = 0
        self.deaths = 0
        self._token_s = math.inf

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process, whatever happened."""
        self._close()

    def load(self) -> tuple[str, ...] | None:
        """Loads the kernel; returns the options it declares, None where it declares nothing.

        Raises:
            UsageError: the kernel's file cannot be loaded.
        """
        implementation = self._subject.implementation
        try:
            self._open()
        except ImplementationFailed as failure:
            wanted = f"the kernel {implementation.source.name} must load and define {implementation.function}(layer)"
            raise UsageError(f"{wanted}; {failure}") from None
        assert self._worker is not None
        return self._worker.offers

    def __call__(self, layer: Layer, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Prepares the layer where it is not the last call's, and makes one call."""
        if layer is not self._layer and self._threads() > self._first_threads + _MORE_THREADS:
            self._close()
        run = self._run or self._open()
        started = time.monotonic()
        try:
            answered = run(layer, x)
        except WorkerEnded:
            self.deaths += 1
            self._close()
            raise
        self._layer = layer
        self._first_threads = self._first_threads or self._threads()
        if len(x) >= _LEAST_TOKENS:
            self._token_s = min(self._token_s, (time.monotonic() - started) / len(x))
        return answered

    def seconds(self, tokens: int) -> float:
        """Returns how long a call on so many tokens would take at the pace of the fastest so far; 0 of few tokens."""
        return self._token_s * tokens if tokens > _MANY_TOKENS and math.isfinite(self._token_s) else 0.0

    def _open(self) -> Run:
        # Cases change shapes and strides from call to call: asked eagerly, also of a kernel that is timed in graphs.
        implementation = replace(self._subject.implementation, graph=False)
        self._worker = Worker(
            threads=self._subject.threads,
            environment=implementation.environment,
            limits=LIMITS,
            device=implementation.home,
            heard=self._heard,
        )
        self._worker.load(implementation)
        self._run = in_worker(self._worker)
        return self._run

    def _threads(self) -> int:
        """How many threads the worker has; 0 where there is none."""
        with suppress(OSError):
            return 0 if self._worker is None else len(tuple(Path(f"/proc/{self._worker.pid}/task").iterdir()))
        return 0

    def _close(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._worker = self._run = None
        self._first_threads = 0
