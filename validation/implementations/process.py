"""The parent's handle on a worker: load a kernel, prepare a layer, make calls, and leave nothing behind."""

from __future__ import annotations

import os
import secrets
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from validation.implementations import arena, kinship, spawn, vitals
from validation.implementations.answer import BlockOutput, Output, Prepared, Sustained
from validation.implementations.block_memory import BlockMemory
from validation.implementations.changed import changed
from validation.implementations.failure import Misbehaved
from validation.implementations.inherited import compiled_into, importable_paths, loaded_from
from validation.implementations.limits import Limits
from validation.implementations.mailbox import Doing, Mailbox
from validation.implementations.manner import USUAL, Manner
from validation.implementations.neighbours import Neighbours
from validation.implementations.shared_layer import SharedLayer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    import torch

    from validation.implementations.arena import CallPlaces
    from validation.implementations.implementation import Implementation
    from validation.implementations.worker.frames import Message
    from validation.workloads.layer import Layer

_ROOT: Final = Path(__file__).resolve().parents[2]

#: Packages of ours, which a candidate's process neither imports nor opens.
_OURS: Final = ("validation", "reference")

#: Folders that the suite and its baselines are loaded from, in which a candidate writes nothing.
_GUARDED: Final = (*_OURS, "kernels", "build/kernels", "build/probe")

#: A process that is not ready after this never will be.
_START_S: Final = 300.0

#: A kernel's file may take so many times as long as a call: it may compile an extension, half a minute for torch's.
_LOADING: Final = 5.0


class Worker:
    """A worker process, alive between `with` and the end of its block; a candidate gets one of its own.

    Raises:
        WorkerEnded: from any method, once the process is gone.
        ImplementationFailed: from any method, when the kernel failed and the process lives.
    """

    def __init__(  # noqa: PLR0913 -- what a process is started with
        self,
        *,
        threads: int,
        trusted: bool = False,
        environment: Sequence[tuple[str, str]] = (),
        limits: Limits | None = None,
        device: str = "cpu",
        heard: list[Doing] | None = None,
    ) -> None:
        """Starts the process; it loads torch while the caller does something else. `device` is "cpu" or "cuda".

        What the candidate was reported to do is added to `heard` when the process is ended.
        """
        if device not in {"cpu", "cuda"}:
            raise ValueError(f"a worker's device must be 'cpu' or 'cuda'; got {device!r}")
        self.device = device
        self.threads = threads
        self.limits = limits or Limits()
        self._trusted = trusted
        self._shared: SharedLayer | None = None
        self._before: list[SharedLayer | None] = []
        self._heard = heard
        self._offers: tuple[str, ...] | None = None
        self._memory = BlockMemory()
        # What a candidate forgets to remove goes with this process. A trusted torch.compile keeps its cache for later.
        own = () if trusted else (("TMPDIR", str(spawn.room().folder)),)
        self._spawned = spawn.spawn(threads, (*own, *environment), fresh=device == "cuda")
        self._forker = kinship.parent(self.pid)
        self._mailbox = Mailbox(self._spawned)
        self._started = False
        self._captures = False
        self._reported = False
        message = {
            "paths": importable_paths(ours=trusted),
            "prefix": sys.prefix,
            "memory_bytes": self.limits.memory_bytes,
            "device": device,
            "layer_file": str(_ROOT / "validation" / "workloads" / "layer.py"),
        }
        # Answered once torch is loaded; `start` waits for that.
        try:
            self._mailbox.post("start", message)
        except BaseException:
            spawn.end(self._spawned)
            raise

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process, whatever happened."""
        self.close()

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._spawned.process.pid

    @property
    def doings(self) -> tuple[Doing, ...]:
        """What the candidate was reported to do so far; nothing is reported of a trusted implementation."""
        return tuple(self._mailbox.doings)

    @property
    def reports_closed(self) -> bool:
        """Whether the candidate closed the pipe its doings are reported on."""
        return self._mailbox.reports_closed

    @property
    def output(self) -> str:
        """The last lines that were printed."""
        return self._mailbox.output

    def cpu_ns(self) -> int:
        """Returns the CPU time of all its threads so far, and of its children; what a dead process used is 0."""
        return vitals.cpu_ns(self.pid) + sum(map(vitals.cpu_ns, kinship.helpers(self.pid)))

    def family_cpu_ns(self) -> int:
        """Returns the CPU time of the process and of its descendants, those that are gone included, by the tick."""
        return vitals.family_cpu_ns(self._spawned)

    def companions(self) -> tuple[str, ...]:
        """Returns the commands of the processes it has alive, however they were started; torch's compilers are none."""
        return kinship.companions(self._spawned.mark, self.pid)

    def start(self) -> None:
        """Waits until the process is ready for a kernel."""
        if not self._started:
            self._started = True
            # Not the kernel's: importing torch took more than a minute on two cores under a load of 20.
            self._mailbox.answer(seconds=max(_START_S, self.limits.seconds), memory_bytes=self.limits.memory_bytes)

    @property
    def offers(self) -> tuple[str, ...] | None:
        """The options of a layer that the loaded kernel says it offers; None where it says nothing."""
        return self._offers

    def load(self, implementation: Implementation) -> str:
        """Runs the implementation's file; returns the sha256 of its source."""
        message = {
            "path": str(implementation.source.resolve()),
            "function": implementation.function,
            # Again, and now: in a process that several share, each finds its own.
            "environment": dict(implementation.environment),
            "trusted": self._trusted,
            "graph": implementation.graph,
            "sha256": implementation.sha256,
            "judge": os.getpid(),
            "refused": _OURS,
            "forbidden": [str(_ROOT / name) for name in _OURS],
            "guarded": [*loaded_from(), *compiled_into(), *(str(_ROOT / name) for name in _GUARDED)],
        }
        self._captures = implementation.graph
        self._reported = not self._trusted
        answer = self._ask("load", message, seconds=_LOADING * self.limits.seconds)
        self._offers = None if answer.get("offers") is None else tuple(str(word) for word in answer["offers"])
        return str(answer["sha256"])

    def prepare(self, layer: Layer | SharedLayer, *, watched: bool = False, keep: int = 0) -> Prepared:
        """Hands the loaded kernel a layer; it stays the layer of all calls until the next one.

        A `watched` layer notes which of its fields are read: `looks` tells them. The kernel keeps what it made of the
        last `keep` layers before, as in a model of many: `back` goes back to the first of them.
        """
        if not isinstance(layer, SharedLayer):
            with SharedLayer.of(layer) as shared:
                return self.prepare(shared, watched=watched, keep=keep)
        message = {
            "config": layer.config,
            "tensors": layer.tensors,
            "size": layer.size,
            "watched": watched,
            "keep": keep,
        }
        before = spawn.anonymous_bytes(self.pid)
        answer = self._ask("prepare", message, (layer.descriptor,))
        grown = spawn.anonymous_bytes(self.pid) - before if self.device == "cpu" else int(answer["device_bytes"])
        self._before = [*self._before, self._shared][-keep:] if keep else []
        self._shared = layer
        return Prepared(prepare_ns=int(answer["prepare_ns"]), prepare_bytes=max(grown, 0))

    def back(self) -> None:
        """Makes the first of the layers that were kept the layer of all calls, and this the last of them."""
        self._ask("back", {})
        self._before.append(self._shared)
        self._shared = self._before.pop(0)

    def call(self, x: torch.Tensor) -> Output:
        """Makes one call on `x` [T, d], of whatever strides and dtype it has.

        Raises:
            Misbehaved: `out` was not written at all, or not before the call returned, or written outside of; or `x` was
                changed.
        """
        block = self.call_block([x])
        output = block.outputs[0]
        if not output.x_unchanged:
            raise Misbehaved("forward", "changed its input x, which belongs to the caller", self.output)
        if not output.written:
            raise Misbehaved("forward", "wrote nothing: out holds what it held before", self.output)
        if not output.settled:
            raise Misbehaved("forward", "returned before out was whole: it changed afterwards", self.output)
        if not block.guards_held:
            raise Misbehaved("forward", "wrote outside out: a guard around it changed", self.output)
        return output

    def call_block(self, inputs: Sequence[torch.Tensor], manner: Manner = USUAL) -> BlockOutput:
        """Makes one call on each input, in turn, each at an address of its own."""
        assert self._shared is not None or manner.dry
        places, end = self._map(inputs, draw_addresses=manner.draw_addresses and not self._captures)
        laid = self._memory.lay(inputs, places, end)
        message = {**asdict(manner), "calls": [where.described() for where in places], "end": end}
        # Nothing that the worker has to know.
        del message["draw_addresses"]
        self._ask("lay", message)
        kin = partial(kinship.kin, self._spawned.mark, self.pid)
        others, used_ns = Neighbours({os.getpid(), self.pid}, kin), -vitals.cpu_ns(self.pid)
        self._memory.stage(laid)
        started = time.perf_counter_ns()
        self._ask("call", {})
        parent_ns = time.perf_counter_ns() - started
        used_ns += vitals.cpu_ns(self.pid)
        others_share, kin_share = others.taken()
        # What is done after this is too late: telling is on nobody's clock.
        taken = self._memory.take(laid)
        answer = self._ask("tell", {})
        with self._whatever_it_says():
            outputs, held = self._memory.outputs(laid, taken, answer)
            began, ends_ns = int(answer["began_ns"]), tuple(int(ns) for ns in answer["ends_ns"])
        return BlockOutput(
            outputs=outputs,
            parent_ns=parent_ns,
            guards_held=held,
            ends_ns=ends_ns,
            in_time=started <= began and began + (ends_ns or (0,))[-1] <= started + parent_ns,
            cpu_ns=used_ns + round(kin_share * parent_ns),
            others_share=others_share,
        )

    def looks(self) -> frozenset[str]:
        """Returns the fields of the watched layers and their configs that the kernel looked at so far."""
        return frozenset(str(name) for name in self._ask("looks", {})["looks"])

    def sustain(self, seconds: float) -> Sustained:
        """Makes the calls of the last block again and again for about `seconds`; their outputs are nobody's."""
        started = time.perf_counter_ns()
        answer = self._ask("sustain", {"seconds": seconds})
        self._memory.forget()
        return Sustained(calls=int(answer["calls"]), parent_ns=time.perf_counter_ns() - started)

    def outputs_changed(self) -> bool:
        """Returns whether an output of the last block is no longer what it was when the block was answered."""
        return self._memory.changed()

    def state(self) -> dict[str, str]:
        """Returns settings of the process that a kernel has no business changing, each as text.

        Some the worker tells; what can be seen from outside is seen from outside.
        """
        word = secrets.token_hex(8)
        told = {str(name): str(value) for name, value in self._ask("state", {"word": word})["state"].items()}
        heard = self._mailbox.heard(word) or not self._reported
        seen = vitals.settings(self.pid) | {"audit hook": "there" if heard else "taken out"}
        # What is measured on a CPU is not computed elsewhere.
        return told | seen | ({"open GPUs": vitals.open_gpus(self.pid)} if self.device == "cpu" else {})

    def displaced(self) -> tuple[str, ...]:
        """Returns how its cores, priority and scheduling differ from what workers start with; nothing of a dead one."""
        with suppress(OSError):
            return tuple(changed(vitals.at_start(), vitals.settings(self.pid)))
        return ()

    def suites_settings(self) -> dict[str, str]:
        """Returns settings of the suite's process, and of the one that forked this, which a kernel must not change."""
        return vitals.suites_settings(self._forker)

    def libraries(self) -> tuple[str, ...]:
        """Returns the BLAS and OpenMP libraries loaded: `openblas 0.3.31 SkylakeX, 2 threads`."""
        found = self._ask("libraries", {})["libraries"]
        return tuple(sorted({_library(entry) for entry in found}))

    def settle(self, most_s: float = 0.05) -> None:
        """Returns once the threads of the worker and of this process sleep, or after `most_s`."""
        vitals.settle(self.pid, most_s)

    def close(self) -> None:
        """Ends the process and its descendants, and gives the memory back. Closing twice is harmless."""
        self._mailbox.end()
        self._memory.close()
        if self._heard is not None:
            self._heard += self.doings
            self._heard = None

    def _ask(
        self, request: str, message: Message, descriptors: tuple[int, ...] = (), *, seconds: float | None = None
    ) -> Message:
        self.start()
        self._mailbox.post(request, message, descriptors)
        return self._mailbox.answer(seconds=seconds or self.limits.seconds, memory_bytes=self.limits.memory_bytes)

    @contextmanager
    def _whatever_it_says(self) -> Iterator[None]:
        """An answer in a form that no worker gives is the kernel's, which shares its process and may answer for it."""
        try:
            yield
        except (LookupError, TypeError, ValueError, OverflowError) as nonsense:
            said = f"its process answered in no worker's words ({type(nonsense).__name__}: {nonsense})"
            raise Misbehaved("forward", said, self.output) from None

    def _map(self, inputs: Sequence[torch.Tensor], *, draw_addresses: bool) -> tuple[list[CallPlaces], int]:
        """Places for the block; arena and staging file are made anew when they are too small."""
        if self._shared is None:
            shapes, top_k, dtype = [(x.shape[0], x.shape[1]) for x in inputs], 1, inputs[0].dtype
        else:
            shapes = [(x.shape[0], self._shared.d_model) for x in inputs]
            top_k, dtype = self._shared.top_k, self._shared.dtype
        places, end, staged = arena.plan(inputs, shapes, top_k, dtype, draw_addresses=draw_addresses)
        if self._memory.make_room(end, staged):
            shared, hidden = self._memory.arena, self._memory.staging
            assert shared is not None
            assert hidden is not None
            self._ask("map", {"size": shared.size}, (hidden.descriptor, shared.descriptor))
        return places, end


def _library(entry: Message) -> str:
    parts = [entry.get("internal_api"), entry.get("version"), entry.get("architecture")]
    return f"{' '.join(str(part) for part in parts if part)}, {entry.get('num_threads')} threads"
