"""Answers the parent's requests, one at a time: load, prepare, map, and three for a block of calls."""

from __future__ import annotations

import importlib.util
import os
import resource
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import fence, frames, hook, kernel, memory, state, watched
from .block import Block
from .device import CLOCK, Cuda, Host, bytes_of, tensor_in
from .graphs import Graphs
from .importing import import_torch
from .watched import LAYER_MODULE

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    import torch

    from .frames import Message

#: Calls of a sustained run that are asked for before the GPU is waited for: enough to keep it busy meanwhile.
_SUSTAINED = 64


#: Taken before any kernel is loaded. An exception of a class of a kernel's may have another traceback to tell of.
_AUDIT = sys.audit
_TRACEBACK = vars(BaseException)["__traceback__"].__get__

#: A kernel's forward, its form, and the layer it was made of: it may have kept addresses alone of the tensors.
_Prepared = tuple["Callable[..., Any] | None", kernel.Form, Any]


class Worker:
    """What one worker process holds: a kernel, its layer, and the memory shared with the parent."""

    def __init__(self, audit: int) -> None:
        """Holds nothing yet; doings of a candidate will be reported on `audit`."""
        self.path: Path | None = None
        self._audit = audit
        self._fenced = False
        self._layer_file: Any = None
        self._prepare: Callable[[Any], Any] | None = None
        self._forward: Callable[..., Any] | None = None
        self._form = kernel.Form.UNTOLD
        self._layer: Any = None
        self._captures = False
        self._before: list[_Prepared] = []
        self._graphs = Graphs()
        self._arena: mmap.mmap | None = None
        self._staging = -1
        self._device = Host()
        self._last: list[Callable[[], Any]] = []
        self._looks = watched.Looks()
        self._block: Block | None = None

    def start(self, message: Message, _descriptors: list[int]) -> Message:
        """Sets what may be imported and how much memory may be used; loads torch, in nobody's measured time."""
        sys.path.extend(message["paths"])
        sys.prefix, sys.exec_prefix = message["prefix"], message["prefix"]
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Nobody trains here; a kernel of modules would else build a graph in its measured time.
        import_torch().set_grad_enabled(False)
        state.remember()
        if message["device"] == "cuda":
            self._device = Cuda()
        self._layer_file = _load_layer(Path(message["layer_file"]))
        memory.limit_memory(message["memory_bytes"])
        return {}

    def load(self, message: Message, _descriptors: list[int]) -> Message:
        """Runs the kernel's file."""
        os.environ.update(message["environment"])
        self.path = path = Path(message["path"])
        self._forget()
        self._prepare = None
        self._captures = message["graph"]
        if not message["trusted"] and not self._fenced:
            self._fenced = True
            fence.refuse_imports(message["refused"], message["forbidden"])
            own = path.parent if path.name == "__init__.py" else path
            # A compiler looks up the source of every frame it meets, this package's too: no answer stands in it.
            harmless = [str(own), str(Path(__file__).parent), str(self._layer_file.__file__)]
            folders = fence.Folders(
                forbidden=message["forbidden"],
                guarded=message["guarded"],
                allowed=harmless,
                own=[str(own)] if own.is_dir() else [],
            )
            fence.report_doings(self._audit, folders, message["judge"])
        self._prepare, sha256 = kernel.load(path, message["function"], message["sha256"])
        return {"sha256": sha256, "offers": kernel.declared(self._prepare)}

    def prepare(self, message: Message, descriptors: list[int]) -> Message:
        """Makes the layer of the mapped weights and calls the kernel's `prepare`; so many of those before are kept."""
        keep = message["keep"]
        before_this = [*self._before, (self._forward, self._form, self._layer)][-keep:] if keep else []
        self._forget()
        layer_file, device = self._layer_file, self._device
        weights = memory.map_private(descriptors[0], message["size"])
        os.close(descriptors[0])
        shared = bytes_of(weights)
        tensors = {name: device.to_device(tensor_in(shared, where)) for name, where in message["tensors"].items()}
        config = layer_file.LayerConfig(**{**message["config"], "device": device.name})
        layer = layer_file.Layer(config=config, **tensors)
        if message["watched"]:
            layer = watched.watched(layer, self._looks)
        assert self._prepare is not None
        device.wait()
        before, started = device.used_bytes(), CLOCK()
        forward = self._prepare(layer)
        device.wait()
        elapsed = CLOCK() - started
        self._form = kernel.form_of(forward)
        self._forward, self._layer, self._before = forward, layer, before_this
        return {"prepare_ns": elapsed, "form": self._form.value, "device_bytes": device.used_bytes() - before}

    def back(self, _message: Message, _descriptors: list[int]) -> Message:
        """Goes back to the first of what was prepared before and kept, and keeps this."""
        self._before.append((self._forward, self._form, self._layer))
        self._forward, self._form, self._layer = self._before.pop(0)
        self._graphs, self._last = Graphs(), []
        return {}

    def map(self, message: Message, descriptors: list[int]) -> Message:
        """Maps the memory of the calls to come; staged inputs stay unmapped."""
        if self._staging >= 0:
            os.close(self._staging)
        self._staging, arena = descriptors
        self._arena = memory.map_shared(arena, message["size"])
        os.close(arena)
        # Graphs and the last block's calls hold addresses of the old memory.
        self._graphs, self._last, self._block = Graphs(), [], None
        self._device.map(self._arena)
        return {}

    def lay(self, message: Message, _descriptors: list[int]) -> Message:
        """Holds a block of calls in readiness, so that nobody's clock runs while their tensors are made."""
        self._block = Block(message, self._device, captures=self._captures)
        return {}

    def call(self, _message: Message, _descriptors: list[int]) -> Message:
        """Makes the calls of the block that was laid; what is to be told of them is told when asked for."""
        block, device, arena = self._block, self._device, self._arena
        assert block is not None
        assert arena is not None
        device.begin(block.end)
        if block.is_dry:
            call, fills = block.dry_call(device)
        else:
            call, fills = self._caller(*block.first), self._form is not kernel.Form.RETURNS
        block.make(call, fills=fills, device=device, arena=arena, staging=self._staging, graphs=self._graphs)
        device.finish(block.end)
        self._last = block.made
        return {}

    def tell(self, _message: Message, _descriptors: list[int]) -> Message:
        """Tells of the calls that were made, and lets go of them."""
        block, self._block = self._block, None
        # A kernel that finds this object may give it another class, whose times are its own.
        if type(block) is not Block:
            raise kernel.BadResult(f"the calls that were made are of another class: {type(block).__name__}")
        return Block.told(block)

    def sustain(self, message: Message, _descriptors: list[int]) -> Message:
        """Makes the last block's calls again and again, without a pause, for about so many seconds."""
        device, made = self._device, 0
        started = CLOCK()
        while CLOCK() - started < message["seconds"] * 1e9:
            for number in range(_SUSTAINED):
                self._last[number % len(self._last)]()
            device.wait()
            made += _SUSTAINED
        return {"calls": made, "ns": CLOCK() - started}

    def looks(self, _message: Message, _descriptors: list[int]) -> Message:
        """Tells which fields of watched layers the kernel looked at so far."""
        return {"looks": self._looks.names()}

    def state(self, message: Message, _descriptors: list[int]) -> Message:
        """Tells what a kernel has no business changing in its process, and has the audit hook tell a word."""
        _AUDIT(hook.STILL_THERE, message["word"])
        clocks = (CLOCK, *(sys.modules[one.__module__].CLOCK for one in (Host, Block)))
        return {"state": state.settings(*clocks)}

    def _caller(self, where: Message, x: torch.Tensor, out: torch.Tensor) -> Callable[..., Any]:
        """The kernel's forward as a function of x and out; one whose form is untold is tried on the first input."""
        forward = self._forward
        assert forward is not None
        if self._form is kernel.Form.UNTOLD:
            assert self._arena is not None
            memory.read_into(self._staging, self._arena, where["offset"], where["bytes"], where["staged"])
            self._device.revealed(where)
            self._form = kernel.call_once(forward, x.clone(), out.clone())
        return kernel.caller(forward, self._form)

    def _forget(self) -> None:
        """Lets go of the kernel that was prepared, and of all that holds its memory."""
        self._forward, self._layer, self._before = None, None, []
        self._graphs, self._last, self._block = Graphs(), [], None

    def libraries(self, _message: Message, _descriptors: list[int]) -> Message:
        """Says which BLAS and OpenMP libraries are loaded, with their threads."""
        from threadpoolctl import (  # noqa: PLC0415 -- sys.path was not set before
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
        "back": worker.back,
        "map": worker.map,
        "lay": worker.lay,
        "call": worker.call,
        "tell": worker.tell,
        "sustain": worker.sustain,
        "looks": worker.looks,
        "state": worker.state,
        "libraries": worker.libraries,
    }
    while (received := frames.receive(channel)) is not None:
        message, descriptors = received
        try:
            answer = requests[message["request"]](message, descriptors)
        except BaseException as error:  # noqa: BLE001 -- whatever a kernel throws is its answer
            answer = {"error": _told(error, worker.path), "memory": _out_of_memory(error)}
        frames.send(channel, {"token": message["token"], **answer})


def _told(error: BaseException, path: Path | None) -> str:
    """Type, message, and where in the kernel's file: `ValueError: no such expert (my_kernel.py, line 12)`."""
    if isinstance(error, kernel.BadResult):
        return str(error)
    place, first = _place(error, path), _first_line(error)
    said = f"{first} ({place})" if first and place else first or place
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _first_line(error: BaseException) -> str:
    try:
        text = str(error).strip()
    except Exception:  # noqa: BLE001 -- a kernel's exception may fail to say what it is
        return ""
    return text.partition("\n")[0][:500]


def _place(error: BaseException, path: Path | None) -> str:
    """The last line of the kernel's file that it came through, `my_kernel.py, line 12`; empty if through none."""
    line, step = 0, _TRACEBACK(error)
    while step is not None:
        # The name of a code's file may be of a class of a kernel's, with a comparison of its own.
        if str.__eq__(step.tb_frame.f_code.co_filename, str(path)) is True:
            line = step.tb_lineno
        step = step.tb_next
    return f"{path.name}, line {line}" if path is not None and line else ""


def _out_of_memory(error: BaseException) -> bool:
    """Whether it is an allocation that failed; torch says so by a RuntimeError."""
    text = f"{type(error).__name__}: {_first_line(error)}"
    if "GPU memory" in text:
        return False  # the limit is the host's
    return isinstance(error, MemoryError) or "can't allocate memory" in text or "bad_alloc" in text


def _load_layer(path: Path) -> Any:  # noqa: ANN401 -- a module loaded by path has no type here
    """Returns the module of Layer and LayerConfig, loaded by path."""
    # Not by a name that a file beside a kernel may have: `import moe_layer` found this one.
    spec = importlib.util.spec_from_file_location(LAYER_MODULE, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
