"""Answers the parent's requests, one at a time: load, prepare, map, call."""

from __future__ import annotations

import importlib.util
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import fence, frames, kernel, memory, state, watched

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    from .frames import Message

#: The clock, taken before any kernel is loaded: patching `time` later does not reach it.
_CLOCK = time.perf_counter_ns


class Worker:
    """What one worker process holds: a kernel, its layer, and the memory shared with the parent."""

    def __init__(self, audit: int) -> None:
        """Holds nothing yet; doings of a candidate will be reported on `audit`."""
        self._audit = audit
        self._fenced = False
        self._layer_file: Any = None
        self._prepare: Callable[[Any], Any] | None = None
        self._forward: Callable[..., Any] | None = None
        self._form = kernel.Form.UNTOLD
        self._arena: mmap.mmap | None = None
        self._staging = -1
        self._looks = watched.Looks()

    def start(self, message: Message, _descriptors: list[int]) -> Message:
        """Sets what may be imported and how much memory may be used; loads torch, in nobody's measured time."""
        sys.path.extend(message["paths"])
        sys.prefix, sys.exec_prefix = message["prefix"], message["prefix"]
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        import torch  # noqa: PLC0415 -- sys.path was not set before

        # Nobody trains here; a kernel of modules would else build a graph in its measured time.
        torch.set_grad_enabled(False)
        state.remember()
        self._layer_file = _load_layer(Path(message["layer_file"]))
        memory.limit_memory(message["memory_bytes"])
        return {}

    def load(self, message: Message, _descriptors: list[int]) -> Message:
        """Runs the kernel's file."""
        os.environ.update(message["environment"])
        path = Path(message["path"])
        self._forward = self._prepare = None
        if not message["trusted"] and not self._fenced:
            self._fenced = True
            fence.refuse_imports(message["refused"], message["forbidden"])
            own = path.parent if path.name == "__init__.py" else path
            fence.report_doings(self._audit, message["forbidden"], [str(own)])
        self._prepare, sha256 = kernel.load(path, message["function"])
        return {"sha256": sha256, "offers": kernel.declared(self._prepare)}

    def prepare(self, message: Message, descriptors: list[int]) -> Message:
        """Makes the layer of the mapped weights and calls the kernel's `prepare`."""
        self._forward = None
        layer_file = self._layer_file
        weights = memory.map_private(descriptors[0], message["size"])
        os.close(descriptors[0])
        tensors = {name: memory.tensor_at(weights, where) for name, where in message["tensors"].items()}
        layer = layer_file.Layer(config=layer_file.LayerConfig(**message["config"]), **tensors)
        if message["watched"]:
            layer = watched.watched(layer, self._looks)
        assert self._prepare is not None
        started = _CLOCK()
        forward = self._prepare(layer)
        elapsed = _CLOCK() - started
        self._form = kernel.form_of(forward)
        self._forward = forward
        return {"prepare_ns": elapsed, "form": self._form.value}

    def map(self, message: Message, descriptors: list[int]) -> Message:
        """Maps the memory of the calls to come; staged inputs stay unmapped."""
        if self._staging >= 0:
            os.close(self._staging)
        self._staging, arena = descriptors
        self._arena = memory.map_shared(arena, message["size"])
        os.close(arena)
        return {}

    def call(self, message: Message, _descriptors: list[int]) -> Message:
        """Makes a block of calls, each on an input revealed just before it, each timed alone.

        A dry block does the same with a kernel that does nothing: what then passes is the price of the asking.
        """
        arena, staging = self._arena, self._staging
        assert arena is not None
        places = [
            (where["x"], [memory.tensor_at(arena, where[name]) for name in ("x", "out", "ids", "weights")])
            for where in message["calls"]
        ]
        if message["dry"]:
            # Returns a tensor, which is then copied: as much work of ours as any kernel causes.
            blank = places[0][1][1].clone()
            call, fills = kernel.caller(lambda _x: blank, kernel.Form.RETURNS), False
        else:
            forward = self._forward
            assert forward is not None
            if self._form is kernel.Form.UNTOLD:
                where, (x, out, _ids, _weights) = places[0]
                memory.read_into(staging, arena, where["offset"], where["bytes"], where["staged"])
                self._form = kernel.call_once(forward, x.clone(), out.clone())
            call, fills = kernel.caller(forward, self._form), self._form is not kernel.Form.RETURNS
        calls_ns, told = [], []
        for where, (x, out, ids, weights) in places:
            memory.read_into(staging, arena, where["offset"], where["bytes"], where["staged"])
            started = _CLOCK()
            result = call(x, out)
            calls_ns.append(_CLOCK() - started)
            told.append(kernel.deliver(result, out, ids, weights, fills=fills))
            del result
        return {"calls_ns": calls_ns, "told": told}

    def looks(self, _message: Message, _descriptors: list[int]) -> Message:
        """Tells which fields of watched layers the kernel looked at so far."""
        return {"looks": self._looks.names()}

    def state(self, _message: Message, _descriptors: list[int]) -> Message:
        """Tells what a kernel has no business changing in its process."""
        return {"state": state.settings(_CLOCK)}

    def libraries(self, _message: Message, _descriptors: list[int]) -> Message:
        """Says which BLAS and OpenMP libraries are loaded, with their threads."""
        from threadpoolctl import (  # type: ignore[import-untyped] # noqa: PLC0415 -- sys.path was not set before
            threadpool_info,
        )

        return {"libraries": threadpool_info()}


def serve(control: int, audit: int) -> None:
    """Answers requests until the channel is closed."""
    channel = socket.socket(fileno=control)
    worker = Worker(audit)
    requests = {
        "start": worker.start,
        "load": worker.load,
        "prepare": worker.prepare,
        "map": worker.map,
        "call": worker.call,
        "looks": worker.looks,
        "state": worker.state,
        "libraries": worker.libraries,
    }
    while (received := frames.receive(channel)) is not None:
        message, descriptors = received
        try:
            answer = requests[message["request"]](message, descriptors)
        except BaseException as error:  # noqa: BLE001 -- whatever a kernel throws is its answer
            answer = {"error": _told(error), "memory": _out_of_memory(error)}
        frames.send(channel, {"token": message["token"], **answer})


def _told(error: BaseException) -> str:
    """Type and message, without a traceback: `ValueError: no such expert`."""
    if isinstance(error, kernel.BadResult):
        return str(error)
    try:
        text = str(error).strip()
    except Exception:  # noqa: BLE001 -- a kernel's exception may fail to say what it is
        text = ""
    first = text.partition("\n")[0][:500]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _out_of_memory(error: BaseException) -> bool:
    """Whether it is an allocation that failed; torch says so by a RuntimeError."""
    text = _told(error)
    return isinstance(error, MemoryError) or "can't allocate memory" in text or "bad_alloc" in text


def _load_layer(path: Path) -> Any:  # noqa: ANN401 -- a module loaded by path has no type here
    """Returns the module of Layer and LayerConfig, loaded by path."""
    spec = importlib.util.spec_from_file_location("moe_layer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
