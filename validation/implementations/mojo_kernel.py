"""The Mojo kernel as anybody's kernel file: `prepare(layer)` packs the weights and returns `forward(x, out)`.

This file imports nothing of ours: it runs in an isolated worker, loaded by path, like a user's kernel. It checks
tensors and passes addresses; all the arithmetic is in the library that the variable MOE_KERNEL_LIBRARY names.

Threads: MOE_KERNEL_THREADS, else OMP_NUM_THREADS (which the baselines obey), else the CPUs this process may run on.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import weakref
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer, LayerConfig

    Routing = tuple[None, torch.Tensor, torch.Tensor] | tuple[None, torch.Tensor, torch.Tensor, torch.Tensor]

#: The places of dtypes in the list that kernels/bindings/moe_kernel.mojo has of them.
DTYPES = {"float32": 0, "bfloat16": 1, "float16": 2}
_ACTIVATIONS = {"relu": 0, "gelu": 1, "gelu_tanh": 2, "silu": 3}
#: topk_softmax is softmax renormalised, which the kernel computes over the chosen logits alone.
_ROUTERS = {"softmax": 0, "topk_softmax": 0, "sigmoid": 1}

#: /proc/cpuinfo spells these features otherwise than LLVM (dots and underscores apart).
_CPUINFO_NAMES = {"bmi": "bmi1", "lzcnt": "abm", "pclmul": "pclmulqdq", "sha": "shani", "sse3": "pni"}
#: The features that the compiler uses without being asked, or the kernel asks for; others (rdrand, clzero, ...) need
#: an explicit call.
_USED_FEATURES = (
    *("avx", "sse", "fma", "f16c", "bmi", "lzcnt", "movbe", "popcnt", "gfni", "vaes", "vpclmul", "ssse"),
    *("amx-bf16", "amx-tile"),
)


class _Kernel(Protocol):
    """What the extension module offers; see kernels/bindings/moe_kernel.mojo."""

    def start_pool(self, threads: int) -> int: ...
    def prepare_layer(self, pool: int, dtype: int, options: tuple[float, ...], addresses: tuple[int, ...]) -> int: ...
    def forward_layer(self, *addresses_and_tokens: int) -> None: ...
    def release_layer(self, layer: int) -> None: ...
    def known_dimensions(self) -> tuple[int, int]: ...
    def known_dtypes(self) -> list[int]: ...


def prepare(layer: Layer) -> Callable[[torch.Tensor, torch.Tensor], Routing]:
    """Packs the layer's weights and returns its `forward`; the layer's own tensors are not needed afterwards.

    Raises:
        RuntimeError: MOE_KERNEL_LIBRARY is unset, or names a library that this machine cannot run.
        ValueError, TypeError: the layer is not one that the kernel computes; the message names thing, rule and value.
    """
    config = layer.config
    addresses = _weight_addresses(layer)
    kernel = _kernel()
    known = kernel.known_dimensions()
    if any(known) and known != (config.d_model, config.d_ff):
        raise NotImplementedError(
            f"this library was compiled for d_model {known[0]} and d_ff {known[1]} alone; "
            f"got {config.d_model} and {config.d_ff}"
        )
    if DTYPES[config.dtype] not in kernel.known_dtypes():
        raise NotImplementedError(f"this library was compiled without {config.dtype}")
    options = (
        config.d_model,
        config.d_ff,
        config.n_experts,
        config.top_k,
        _ACTIVATIONS[config.activation],
        int(config.gated),
        int(config.renormalize),
        _ROUTERS[config.router],
        config.n_groups,
        config.top_groups,
        config.routed_scaling,
        config.shared_d_ff,
        int(config.float32_router),
    )
    handle = kernel.prepare_layer(_pool(os.getpid(), _threads()), DTYPES[config.dtype], options, addresses)
    forward = _forward(kernel.forward_layer, handle, config)
    weakref.finalize(forward, kernel.release_layer, handle).atexit = False
    return forward


def _forward(
    forward_layer: Callable[..., None], handle: int, config: LayerConfig
) -> Callable[[torch.Tensor, torch.Tensor], Routing]:
    dtype, d_model, top_k = getattr(torch, config.dtype), config.d_model, config.top_k
    element, balance_loss = dtype.itemsize, config.balance_loss
    # A tensor made by its type takes 0.8 us, by torch.empty and a dtype 1.6 us; a look at an attribute takes 0.05 us.
    new_ids, new_weights = torch.IntTensor, torch.FloatTensor

    def forward(x: torch.Tensor, out: torch.Tensor) -> Routing:
        """Fills `out` [T, d_model] and returns (None, expert ids [T, k] int32, expert weights [T, k] float32).

        A layer that asks for the load-balancing loss gets it as a fourth, a float32 tensor without dimensions.
        A NaN or inf among a token's router logits makes that token's output NaN; its ids stay distinct and in range.
        """
        if x.dtype is not dtype or not x.is_cpu or x.ndim != 2 or not x.is_contiguous():  # noqa: PLR2004 -- [T, d_model]
            _refuse_tensor("x", x, dtype)
        if out.dtype is not dtype or not out.is_cpu or out.ndim != 2 or not out.is_contiguous():  # noqa: PLR2004
            _refuse_tensor("out", out, dtype)
        tokens, width = shape = x.shape
        if width != d_model or out.shape != shape:
            raise ValueError(f"x and out must both be [T, {d_model}]; got {list(x.shape)} and {list(out.shape)}")
        source, target, size = x.data_ptr(), out.data_ptr(), tokens * d_model * element
        if source < target + size and target < source + size:
            raise ValueError(f"out must not overlap x; they share memory from address {max(source, target):#x} on")
        ids, weights = new_ids(tokens, top_k), new_weights(tokens, top_k)
        if balance_loss:
            loss = torch.empty((), dtype=torch.float32)
            forward_layer(handle, source, target, tokens, ids.data_ptr(), weights.data_ptr(), loss.data_ptr())
            return None, ids, weights, loss
        forward_layer(handle, source, target, tokens, ids.data_ptr(), weights.data_ptr(), 0)
        return None, ids, weights

    return forward


def _refuse_tensor(name: str, tensor: torch.Tensor, dtype: torch.dtype) -> None:
    """Raises the error that says which rule `tensor` breaks."""
    if tensor.dtype is not dtype:
        raise TypeError(f"{name} must have the layer's dtype {dtype}; got {tensor.dtype}")
    if not tensor.is_cpu:
        raise ValueError(f"{name} must be on the CPU; got {tensor.device}")
    if tensor.dim() != 2:  # noqa: PLR2004 -- [T, d_model]
        raise ValueError(f"{name} must have 2 dimensions [T, d_model]; got shape {list(tensor.shape)}")
    raise ValueError(f"{name} must be contiguous; got strides {list(tensor.stride())} for shape {list(tensor.shape)}")


def _weight_addresses(layer: Layer) -> tuple[int, ...]:
    """Returns the addresses of the layer's tensors in the order the kernel takes them, 0 for None."""
    config = layer.config
    _check_options(config)
    d, f, experts, shared = config.d_model, config.d_ff, config.n_experts, config.shared_d_ff
    dtype = getattr(torch, config.dtype)
    router_dtype = torch.float32 if config.float32_router else dtype
    gate = layer.w_gate if config.gated else None
    addresses = (
        _address("router_weight", layer.router_weight, (d, experts), router_dtype, required=True),
        _address("router_bias", layer.router_bias, (experts,), router_dtype),
        _address("correction_bias", layer.correction_bias, (experts,), torch.float32),
        _address("w1", layer.w1, (experts, d, f), dtype, required=True),
        _address("b1", layer.b1, (experts, f), dtype),
        _address("w2", layer.w2, (experts, f, d), dtype, required=True),
        _address("b2", layer.b2, (experts, d), dtype),
        _address("w_gate", gate, (experts, d, f), dtype, required=config.gated),
    )
    if not shared:
        return (*addresses, 0, 0, 0, 0, 0)
    return (
        *addresses,
        _address("shared_w1", layer.shared_w1, (d, shared), dtype, required=True),
        _address("shared_b1", layer.shared_b1, (shared,), dtype),
        _address("shared_w2", layer.shared_w2, (shared, d), dtype, required=True),
        _address("shared_b2", layer.shared_b2, (d,), dtype),
        _address("shared_w_gate", layer.shared_w_gate, (d, shared), dtype, required=config.gated),
    )


def _check_options(config: LayerConfig) -> None:
    if config.device != "cpu":
        raise ValueError(f"device must be 'cpu' for this kernel; got {config.device!r}")
    for option, known in (("dtype", DTYPES), ("activation", _ACTIVATIONS), ("router", _ROUTERS)):
        if getattr(config, option) not in known:
            raise ValueError(f"{option} must be one of {', '.join(known)}; got {getattr(config, option)!r}")
    for name in ("d_model", "d_ff", "n_experts", "top_k", "n_groups", "top_groups"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1; got {getattr(config, name)}")
    if config.top_k > config.n_experts:
        raise ValueError(f"top_k must not exceed n_experts = {config.n_experts}; got {config.top_k}")
    if config.n_experts % config.n_groups:
        raise ValueError(f"n_groups must divide n_experts = {config.n_experts}; got {config.n_groups}")
    most = config.n_experts // config.n_groups * config.top_groups
    if config.top_groups > config.n_groups or config.top_k > most:
        raise ValueError(f"top_k must not exceed the {most} experts of top_groups groups; got {config.top_k}")


def _address(
    name: str, tensor: torch.Tensor | None, shape: tuple[int, ...], dtype: torch.dtype, *, required: bool = False
) -> int:
    if tensor is None:
        if required:
            raise ValueError(f"{name} must be a tensor of shape {list(shape)}; got None")
        return 0
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must have shape {list(shape)}; got {list(tensor.shape)}")
    if tensor.dtype is not dtype:
        owner = "dtype" if name == "correction_bias" else "the layer's dtype"
        raise TypeError(f"{name} must have {owner} {dtype}; got {tensor.dtype}")
    if not tensor.is_cpu:
        raise ValueError(f"{name} must be on the CPU; got {tensor.device}")
    if not tensor.is_contiguous():
        raise ValueError(f"{name} must be contiguous; got strides {list(tensor.stride())} for shape {list(shape)}")
    return tensor.data_ptr()


@cache
def _kernel() -> _Kernel:
    """Returns the extension module, once this machine is known to have every feature it was compiled for."""
    named = os.environ.get("MOE_KERNEL_LIBRARY", "")
    library = Path(named)
    if not named or not library.is_absolute() or not library.is_file():
        raise RuntimeError(
            "MOE_KERNEL_LIBRARY must be the absolute path of the built kernel;"
            f" got {named!r}. Build it with: moe-validation build"
        )
    missing = _missing_features(library.with_name("manifest.json"))
    if missing:
        raise RuntimeError(
            f"the kernel {library} was compiled for a CPU with {', '.join(missing)}, which this machine lacks;"
            " build it here: moe-validation build"
        )
    loader = importlib.machinery.ExtensionFileLoader("moe_kernel", str(library))
    spec = importlib.util.spec_from_loader("moe_kernel", loader)
    if spec is None:
        raise RuntimeError(f"MOE_KERNEL_LIBRARY must be a Python extension module; got {library}")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    _restore_environment()
    return cast("_Kernel", module)


def _restore_environment() -> None:
    """Undoes what Mojo's Python support writes into the C environment behind `os.environ`.

    PYTHONEXECUTABLE and PYTHONPATH would make every child process of this one run another Python without its packages.
    """
    for name in ("PYTHONEXECUTABLE", "PYTHONPATH", "MOJO_PYTHON_LIBRARY"):
        if name in os.environ:
            os.putenv(name, os.environ[name])
        else:
            os.unsetenv(name)


def _missing_features(manifest: Path) -> list[str]:
    """Returns the CPU features that the library may use and this machine does not list."""
    try:
        compiled = json.loads(manifest.read_text())["features"]
    except (OSError, ValueError, KeyError) as error:
        raise RuntimeError(
            f"manifest.json must stand beside the library, to say which CPU it was compiled for; {manifest}: {error!r};"
            " build it here: moe-validation build"
        ) from None
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))), "")
    present = {flag.replace("_", "") for flag in flags.split()}
    used = [feature for feature in compiled if feature.startswith(_USED_FEATURES)]
    spelled = str.maketrans("", "", "._-")
    return [name for name in used if _CPUINFO_NAMES.get(name, name).translate(spelled) not in present]


@cache
def _pool(process: int, threads: int) -> int:
    """Returns the pool of so many threads of this process; a forked child has to start its own."""
    del process
    return int(_kernel().start_pool(threads))


def _threads() -> int:
    """Returns how many threads to use.

    Raises:
        ValueError: a variable names something else than a positive number.
    """
    for variable in ("MOE_KERNEL_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(variable)
        if value:
            if not value.isdecimal() or int(value) < 1:
                raise ValueError(f"{variable} must be a positive whole number; got {value!r}")
            return int(value)
    return len(os.sched_getaffinity(0))
