"""Settings of the process that a kernel has no business changing, because other measurements rest on them."""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Taken before any kernel is loaded.
_BUILTIN = {
    name: getattr(time, name) for name in ("perf_counter_ns", "perf_counter", "time", "monotonic", "process_time")
}


def settings(*clocks: Callable[[], int]) -> dict[str, object]:
    """Returns each setting by its name; equal before and after an honest kernel. `clocks` are the harness's own."""
    import torch  # noqa: PLC0415 -- loaded long before; importing this file must not need it

    # A denormal that survives a multiplication by one: flushing it is a mode of the processor's thread.
    tiny = torch.full((1,), 1e-40, dtype=torch.float32)
    patched = [name for name, function in _BUILTIN.items() if getattr(time, name) is not function]
    if any(clock is not _BUILTIN["perf_counter_ns"] for clock in clocks):
        patched.append("the harness")
    cuda = (
        {"cuda stream": str(torch.cuda.current_stream().cuda_stream), "cuda device": torch.cuda.current_device()}
        if torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        else {}
    )
    return cuda | {
        "float32 products": str(torch.get_float32_matmul_precision()),
        "torch threads": torch.get_num_threads(),
        "denormals": "kept" if float((tiny * 1.0)[0]) != 0.0 else "flushed",
        "patched clocks": ", ".join(patched) or "none",
        "patched tensor": ", ".join(
            name for (of, name), method in _METHODS.items() if getattr(_class(of), name) is not method
        )
        or "none",
        "thread variables": ", ".join(f"{name}={os.environ.get(name)}" for name in _VARIABLES),
        "default dtype": str(torch.get_default_dtype()),
        "garbage collector": "on" if gc.isenabled() else "off",
        "tracing": f"{sys.gettrace() is not None} {sys.getprofile() is not None}",
    }


_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

#: What the harness itself calls on a kernel's result and on a GPU's clock, by class and name.
_METHODS: dict[tuple[str, str], object] = {}
_CALLED = {
    "Tensor": ("copy_", "data_ptr", "stride", "shape", "dtype"),
    "Event": ("record", "elapsed_time", "synchronize"),
    "CUDAGraph": ("replay",),
}


def remember() -> None:
    """Remembers the methods of tensors as torch defines them; called once torch is loaded and no kernel is."""
    _METHODS.update({(of, name): getattr(_class(of), name) for of, names in _CALLED.items() for name in names})


def _class(name: str) -> Any:  # noqa: ANN401 -- a class of torch's
    import torch  # noqa: PLC0415 -- as above

    return torch.Tensor if name == "Tensor" else getattr(torch.cuda, name)
