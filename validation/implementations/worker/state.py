"""Settings of the process that a kernel has no business changing, because other measurements rest on them."""

from __future__ import annotations

import importlib
import os
import sys
import time
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Taken before any kernel is loaded.
_BUILTIN = {
    name: getattr(time, name) for name in ("perf_counter_ns", "perf_counter", "time", "monotonic", "process_time")
}


def settings(*clocks: Callable[[], int]) -> dict[str, object]:
    """Returns each setting by its name; equal before and after an honest kernel. `clocks` are the harness's own.

    Asked of the functions as torch and Python define them, whatever stands in their modules now.
    """
    ask = _FUNCTIONS
    # A denormal that survives a multiplication by one: flushing it is a mode of the processor's thread.
    tiny = ask["torch", "full"]((1,), 1e-40, dtype=_module("torch").float32)
    patched = [name for name, function in _BUILTIN.items() if getattr(time, name) is not function]
    if any(clock is not _BUILTIN["perf_counter_ns"] for clock in clocks):
        patched.append("the harness")
    stream = _module("torch").cuda
    cuda = (
        {"cuda stream": str(stream.current_stream().cuda_stream), "cuda device": stream.current_device()}
        if stream.is_initialized()
        else {}
    )
    return cuda | {
        "float32 products": str(ask["torch", "get_float32_matmul_precision"]()),
        "torch threads": ask["torch", "get_num_threads"](),
        "rounding": "to nearest" if _rounds_to_nearest() else "changed",
        "denormals": "kept" if float((tiny * 1.0)[0]) != 0.0 else "flushed",
        "patched clocks": ", ".join(patched) or "none",
        "patched tensor": ", ".join(
            name for (of, name), method in _METHODS.items() if getattr(_class(of), name) is not method
        )
        or "none",
        "patched functions": ", ".join(
            f"{of}.{name}" for (of, name), function in ask.items() if getattr(_module(of), name, None) is not function
        )
        or "none",
        "patched harness": ", ".join(sorted(_patched())) or "none",
        "thread variables": ", ".join(f"{name}={os.environ.get(name)}" for name in _VARIABLES),
        "default dtype": str(ask["torch", "get_default_dtype"]()),
        "garbage collector": "on" if ask["gc", "isenabled"]() else "off",
        "tracing": f"{ask['sys', 'gettrace']() is not None} {ask['sys', 'getprofile']() is not None}",
    }


def _rounds_to_nearest() -> bool:
    """Whether this thread does: 1 plus or minus less than half of what follows it is 1 in no other mode."""
    one, less = 1.0, 2.0**-60
    return one + less == one and one - less == one


_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

#: What the harness itself calls on a kernel's result and on a GPU's clock, by class and name.
_METHODS: dict[tuple[str, str], object] = {}
_CALLED = {
    "Tensor": ("copy_", "data_ptr", "stride", "shape", "dtype"),
    "Event": ("record", "elapsed_time", "synchronize"),
    "CUDAGraph": ("replay",),
}


_MODULES: dict[str, Any] = {}

#: What the harness asks about the process, by module and name.
_FUNCTIONS: dict[tuple[str, str], Any] = {}
_ASKED = {
    "torch": (
        "full", "get_float32_matmul_precision", "get_num_threads", "set_num_threads", "get_default_dtype", "from_numpy",
    ),
    "gc": ("isenabled", "enable", "disable", "collect"),
    "sys": ("gettrace", "getprofile", "settrace", "setprofile"),
    "os": ("preadv", "write", "sched_setaffinity"),
}  # fmt: skip


def remember() -> None:
    """Remembers functions and methods as torch and Python define them; called once torch is loaded and no kernel is."""
    _FUNCTIONS.update({(of, name): getattr(_module(of), name) for of, names in _ASKED.items() for name in names})
    _METHODS.update({(of, name): getattr(_class(of), name) for of, names in _CALLED.items() for name in names})
    _OWN.extend(_functions())


#: The harness's own functions as they were before any kernel was loaded: where each stands, its name, it, and its code.
_OWN: list[tuple[Any, str, object, object]] = []


def _functions() -> Iterator[tuple[Any, str, object, object]]:
    """Every function of this package's modules, and of the classes that stand in them."""
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{__package__}."):
            for of in (module, *(one for one in vars(module).values() if isinstance(one, type))):
                for called, function in list(vars(of).items()):
                    if isinstance(function, types.FunctionType):
                        yield of, called, function, function.__code__


def _patched() -> set[str]:
    """The functions of the harness that are no longer what they were."""
    return {
        name
        for of, name, function, code in _OWN
        if vars(of).get(name) is not function or getattr(function, "__code__", None) is not code
    }


def _module(name: str) -> Any:  # noqa: ANN401 -- of several kinds
    """The module as it was when it was first asked for: a kernel may empty sys.modules."""
    if name not in _MODULES:
        _MODULES[name] = importlib.import_module(name)
    return _MODULES[name]


def _class(name: str) -> Any:  # noqa: ANN401 -- a class of torch's
    torch = _module("torch")
    return torch.Tensor if name == "Tensor" else getattr(torch.cuda, name)
