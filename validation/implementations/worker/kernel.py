"""A kernel as its author wrote it: loaded, its form of `forward` found out, its results put where they belong."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import inspect
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch


_MEMMOVE = ctypes.memmove


class Form(Enum):
    """How `forward` wants to be called."""

    FILLS = "forward(x, out)"
    FILLS_KEYWORD = "forward(x, *, out)"
    RETURNS = "forward(x)"
    UNTOLD = "no signature says"


class BadResult(Exception):  # noqa: N818 -- the message is the finding: what was required, what came
    """What a kernel gave back is not what the interface asks for."""


def load(path: Path, function: str, named: str) -> tuple[Callable[[Any], Any], str]:
    """Returns the kernel's `prepare` and the sha256 of its source, after running the file.

    `named` is the sha256 of the source when the kernel was named; empty where anything will do. A file that replaced
    itself was right while it was asked cases, and another while it was looked at.

    The file's own folder goes last on sys.path, so that a kernel may consist of several files. An `__init__.py` is a
    package: its siblings are imported relative to it.

    Raises:
        BadResult: the file is another, or has no such function.
        Exception: whatever the file raises.
    """
    source = path.read_bytes()
    sha256 = hashlib.sha256(source).hexdigest()
    if named not in {"", sha256}:
        raise BadResult(f"{path.name} was changed since it was named: start again")
    sys.path.append(str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(f"kernel_{name_of(path)}", path)
    if spec is None:
        raise BadResult(f"a kernel is a Python file; got {path.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    # Not by the loader, which would run stored bytecode: what runs is what was hashed.
    # And without this file's `annotations`, by which a kernel's would be text: TorchScript takes no `k: int` then.
    exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102 -- what this is for
    prepare = getattr(module, function, None)
    if not callable(prepare):
        there = sorted(n for n, value in vars(module).items() if inspect.isfunction(value) and not n.startswith("_"))
        raise BadResult(f"{path.name} must define {function}(layer); it defines {', '.join(there) or 'no function'}")
    return prepare, sha256


def name_of(path: Path) -> str:
    """Returns what a kernel is called: its file's name, or its folder's where the file is the folder's `__init__`."""
    return path.resolve().parent.name if path.name == "__init__.py" else path.stem


def declared(prepare: Callable[[Any], Any]) -> list[str] | None:
    """Returns the options of a layer that the kernel says it offers, `prepare.offers`; None where it says nothing.

    Raises:
        BadResult: it is no collection of words.
    """
    offers = getattr(prepare, "offers", None)
    if offers is None:
        return None
    if isinstance(offers, str) or not hasattr(offers, "__iter__"):
        raise BadResult(f"prepare.offers must be a collection of words, as in ('gated', 'bfloat16'); got {offers!r}")
    words = list(offers)
    if not all(type(word) is str for word in words):
        raise BadResult(f"prepare.offers must hold words alone; got {words!r}")
    return words


def form_of(forward: Callable[..., Any]) -> Form:
    """Returns how `forward` is to be called, by its signature.

    A parameter named `out`, or a second one that must be given, means that it fills `out`. A second parameter with a
    default and another name is the author's own. Builtins without a signature and `*args` say nothing.

    Raises:
        BadResult: it cannot be called, or needs more than two arguments.
    """
    if not callable(forward):
        raise BadResult(f"prepare must return a callable forward; got {type(forward).__name__}")
    parameters = _parameters(forward)
    if parameters is None or all(p.kind in {p.VAR_POSITIONAL, p.VAR_KEYWORD} for p in parameters):
        # torch.nn.Module.__call__ takes anything; the author's words are in its forward.
        inner = getattr(forward, "forward", None)
        parameters = _parameters(inner) if callable(inner) else parameters
    if parameters is None:
        return Form.UNTOLD
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    required = [p for p in parameters if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
    if len(required) > 2:  # noqa: PLR2004 -- x and out
        names = ", ".join(p.name for p in required)
        raise BadResult(f"forward must take (x) or (x, out); got one that needs ({names})")
    if any(p.name == "out" and p.kind is p.KEYWORD_ONLY for p in parameters):
        return Form.FILLS_KEYWORD
    if len(positional) > 1 and (positional[1].name == "out" or positional[1] in required):
        return Form.FILLS
    if not positional and any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return Form.UNTOLD
    return Form.RETURNS


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def call_once(forward: Callable[..., Any], x: torch.Tensor, out: torch.Tensor) -> Form:
    """Returns the form of a `forward` that does not tell it, found by trying on tensors nobody measures."""
    try:
        forward(x, out)
    except Exception as refused:  # noqa: BLE001 -- what a kernel raises when given too much is its own business
        try:
            forward(x)
        except Exception:  # noqa: BLE001 -- neither form works: the first failure is the one to tell
            raise refused from None
        return Form.RETURNS
    return Form.FILLS


def caller(forward: Callable[..., Any], form: Form) -> Callable[[torch.Tensor, torch.Tensor], Any]:
    """Returns `forward` as a function of x and out; the usual form is the function itself, with no time added."""
    if form is Form.FILLS:
        return forward
    if form is Form.FILLS_KEYWORD:
        return lambda x, out: forward(x, out=out)
    return lambda x, _out: forward(x)


def _copy(y: torch.Tensor, out: torch.Tensor) -> None:
    """Copies an output by this thread alone.

    torch's own threads would have to share the cores with those of a kernel's OpenMP, which spin: beside a call of
    torch.compile's that took 4 ms, for 0.3.
    """
    # A tensor may be a negated view of its memory.
    plain = y.dtype == out.dtype and y.is_contiguous() and out.is_contiguous() and not y.is_neg()
    if plain and out.device.type == "cpu":
        _MEMMOVE(out.data_ptr(), y.data_ptr(), out.numel() * out.element_size())
    else:
        out.copy_(y)


def deliver(result: object, out: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor, *, fills: bool) -> bool:
    """Puts what a call returned where the parent reads it; returns whether it chose to tell its routing.

    `out` is [T, d], `ids` int64 [T, k], `weights` float64 [T, k].

    Raises:
        BadResult: a result of the wrong kind, shape, dtype or device.
    """
    output, routing = result, (None, None)
    if isinstance(result, tuple):
        # As a tuple holds them, by no methods of a class derived from it: what they did would be in nobody's time.
        items = tuple.__getitem__(result, slice(None))
        if len(items) not in {3, 4}:
            raise BadResult(
                f"a returned tuple must be (y, ids, weights) or with a loss after them; got {len(items)} items"
            )
        output, routing = items[0], items[1:3]
        if len(items) > 3:  # noqa: PLR2004 -- the load-balancing loss, of a layer that asks for it
            _tensor("loss", items[3], weights.new_empty(()))
    if output is not None:
        y = _tensor("output", output, out, fills=fills)
        if y.data_ptr() != out.data_ptr() or y.stride() != out.stride():
            _copy(y, out)
    elif not fills:
        raise BadResult("forward(x) must return its output; it returned None")
    if routing[0] is None and routing[1] is None:
        return False
    ids.copy_(_tensor("expert ids", routing[0], ids))
    weights.copy_(_tensor("expert weights", routing[1], weights))
    return True


def _tensor(thing: str, value: object, like: torch.Tensor, *, fills: bool = False) -> torch.Tensor:
    """Returns `value`, a tensor of the shape, kind and device of `like`; a NumPy array is as good.

    The output must have the very dtype of the layer; ids may be any integers, weights any floating point.
    """
    import numpy as np  # noqa: PLC0415 -- loaded long before; importing this file must not need them
    import torch  # noqa: PLC0415 -- as above

    if type(value) is np.ndarray:
        value = torch.from_numpy(value)
    # A subclass may compute when it is looked at, long after the clock stopped.
    if not isinstance(value, torch.Tensor) or type(value) not in {torch.Tensor, torch.nn.Parameter}:
        kind = f"{type(value).__module__}.{type(value).__name__}"
        raise BadResult(f"the {thing} must be a plain torch.Tensor; got {kind}{_advice(type(value), fills=fills)}")
    if value.shape != like.shape:
        raise BadResult(f"the {thing} must have shape {list(like.shape)}; got {list(value.shape)}")
    if thing == "output" and value.dtype != like.dtype:
        raise BadResult(f"the {thing} must be {like.dtype}; got {value.dtype}")
    if _kind(value) != _kind(like):
        raise BadResult(f"the {thing} must be {_kind(like)}; got {value.dtype}")
    if value.device != like.device:
        raise BadResult(f"the {thing} must be on {like.device}; got {value.device}")
    if value.layout is not torch.strided:
        raise BadResult(f"the {thing} must be a dense tensor; got {value.layout}")
    return value


def _advice(kind: type, *, fills: bool) -> str:
    """What to do about a result of that type, where that is known."""
    if kind is list:
        return ": return a tuple"
    # What a C function gives back that ctypes was told nothing of.
    return ": return None after filling out" if kind is int and fills else ""


def _kind(value: torch.Tensor) -> str:
    if value.is_floating_point():
        return "floating point"
    return "complex or boolean" if value.is_complex() or str(value.dtype) == "torch.bool" else "integers"
