"""MAX: its matmul for each matrix of each expert, called from Mojo; see reference/mojo/max_matmul.mojo.

The first call on a machine compiles it, in some 50 s of a core. Nothing is imported from reference/, so that a copy
elsewhere, its folder mojo with it, may be checked as a stranger's kernel.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer, LayerConfig

_SOURCE: Final = Path(__file__).parent / "mojo" / "max_matmul.mojo"
_DTYPES: Final = ("float32", "bfloat16")
#: A cold compile takes 50 s of a core, and took over 300 s on two that had eight other processes.
_TIMEOUT_S: Final = 900


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], tuple[object, ...]]:
    """Returns the forward function over weights packed by MAX.

    Raises:
        NotImplementedError: a layer that this does not compute.
        ImportError: MAX is not installed.
        RuntimeError: the compiler refused, or MAX did.
    """
    config = layer.config
    _require(config)
    code = ctypes.CDLL(str(_build()))
    start, run = (getattr(code, f"max_{step}_{config.dtype}") for step in ("prepare", "forward"))
    start.argtypes, start.restype = [ctypes.c_int64] * 8, ctypes.c_int64
    run.argtypes, run.restype = [ctypes.c_int64] * 7, ctypes.c_int64
    code.max_workspace.argtypes, code.max_workspace.restype = [ctypes.c_int64] * 2, ctypes.c_int64
    code.max_release.argtypes = [ctypes.c_int64]
    router, w1, w2 = (weight.contiguous() for weight in (layer.router_weight, layer.w1, layer.w2))
    prepared = start(
        config.d_model,
        config.d_ff,
        config.n_experts,
        config.top_k,
        int(config.renormalize),
        *(weight.data_ptr() for weight in (router, w1, w2)),
    )
    if not prepared:
        raise RuntimeError("MAX refused to pack this layer's weights")

    kept = [torch.empty(0, dtype=torch.uint8)]

    def forward(x: torch.Tensor, out: torch.Tensor) -> tuple[object, ...]:
        wanted = code.max_workspace(prepared, len(x))
        if len(kept[0]) < wanted:
            kept[0] = torch.empty(wanted, dtype=torch.uint8)
        ids = torch.empty(len(x), config.top_k, dtype=torch.int64)
        weights = torch.empty(len(x), config.top_k)
        if not run(prepared, len(x), *(tensor.data_ptr() for tensor in (x, out, ids, weights, kept[0]))):
            raise RuntimeError(f"MAX refused a call of {len(x)} tokens")
        return None, ids, weights

    # Holds the router too, which is read where it is.
    weakref.finalize(forward, lambda _: code.max_release(prepared), router)
    return forward


def _require(config: LayerConfig) -> None:
    found = {
        f"a {config.router} router": config.router == "sigmoid",
        "a shared expert": config.shared_d_ff > 0,
        "a scaled routing": config.routed_scaling != 1,
        "biases": config.bias or config.router_bias,
        "a gate": config.gated,
        "a float32 router": config.router_dtype != config.dtype,
        config.activation: config.activation != "relu",
        config.dtype: config.dtype not in _DTYPES,
    }
    if any(found.values()):
        lacking = " and ".join(option for option, there in found.items() if there)
        raise NotImplementedError(f"the layer over MAX's matmul is the plain one with ReLU; this one has {lacking}")


def _build() -> Path:
    """The library compiled for this machine, kept by a hash of the sources, the compiler and its target.

    The compiler's place counts: the library looks for MAX's beside it, in an environment that may be gone tomorrow.
    """
    if importlib.util.find_spec("max") is None:
        raise ImportError("MAX is not installed: pip install max")
    compiler = Path(sys.executable).parent / "mojo"
    told = _run([str(compiler), "--version"]) + _run([str(compiler), "build", "--print-effective-target"])
    sources = b"".join(path.read_bytes() for path in sorted(_SOURCE.parent.glob("*.mojo")))
    key = hashlib.sha256(sources + f"{told}{compiler}".encode()).hexdigest()[:16]
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    library = Path(home) / "moe-validation" / "mojo" / f"{_SOURCE.stem}-{key}.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    with library.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one compiles, the others wait and find it
        if not library.exists():
            with tempfile.TemporaryDirectory(dir=library.parent) as folder:
                fresh = Path(folder) / library.name
                _run([str(compiler), "build", "--emit", "shared-lib", str(_SOURCE), "-o", str(fresh)])
                fresh.replace(library)
    return library


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"mojo did not end within {_TIMEOUT_S} s: {' '.join(command)}") from None
    if done.returncode:
        raise RuntimeError(f"mojo refused: {' '.join(command)}\n{done.stderr}")
    return done.stdout
