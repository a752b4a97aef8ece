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
    holders = list(_holders())
    _OWN.extend((of, whole, _standing(of, whole=whole)) for of, whole in holders)
    _CODES.extend((name, *code) for _of, _whole, before in _OWN for name, one in before.items() for code in _code(one))


#: The harness's own modules and classes as they were before any kernel was loaded: each, whether anything new in it
#: counts, and what stood there. A property set on a class takes what its methods keep under that name.
_OWN: list[tuple[Any, bool, dict[str, object]]] = []

#: Its functions: the name, it, and its code.
_CODES: list[tuple[str, types.FunctionType, types.CodeType]] = []

#: What others set there: a warning that is told of who called, whoever asks for annotations. And the clocks, which are
#: told by themselves.
_NOT_OURS = frozenset({"__warningregistry__", "__annotations__", "CLOCK"})


def _holders() -> Iterator[tuple[Any, bool]]:
    """This package's modules and the classes that stand in them; of Python's only what was there counts."""
    ours = f"{__package__}."
    for name, module in list(sys.modules.items()):
        if name.startswith(ours):
            yield module, True
            for one in list(vars(module).values()):
                if isinstance(one, type):
                    yield one, one.__module__.startswith(ours)


def _standing(of: Any, *, whole: bool) -> dict[str, object]:  # noqa: ANN401 -- a module or a class
    """What stands in it; of what is not the harness's, the functions."""
    stands = {name: value for name, value in vars(of).items() if name not in _NOT_OURS}
    if not whole:
        return {name: value for name, value in stands.items() if isinstance(value, types.FunctionType)}
    return {**stands, "__bases__": of.__bases__} if isinstance(of, type) else stands


def _code(value: object) -> Iterator[tuple[types.FunctionType, types.CodeType]]:
    """The function that a value is, or that a property asks, and its code."""
    function = value.fget if isinstance(value, property) else value
    if isinstance(function, types.FunctionType):
        yield function, function.__code__


def _patched() -> set[str]:
    """The names in the harness that no longer mean what they meant, and those that are new."""
    patched = {name for name, function, code in _CODES if function.__code__ is not code}
    for of, whole, before in _OWN:
        now = _standing(of, whole=whole)
        names = before.keys() | now.keys() if whole else before.keys()
        # None is a value; what is missing is the holder itself.
        patched |= {name for name in names if before.get(name, of) is not now.get(name, of)}
    return patched


def _module(name: str) -> Any:  # noqa: ANN401 -- of several kinds
    """The module as it was when it was first asked for: a kernel may empty sys.modules."""
    if name not in _MODULES:
        _MODULES[name] = importlib.import_module(name)
    return _MODULES[name]


def _class(name: str) -> Any:  # noqa: ANN401 -- a class of torch's
    torch = _module("torch")
    return torch.Tensor if name == "Tensor" else getattr(torch.cuda, name)
