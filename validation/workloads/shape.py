"""A workload as one word, for repro lines and ad hoc shapes: `512x128x512-E4-k2-float32`."""

import re
from dataclasses import replace
from typing import Any, Final

import numpy as np

from validation.usage import UsageError
from validation.workloads.layer import ACTIVATIONS, DTYPE_BYTES, ROUTERS, LayerConfig
from validation.workloads.workload import Routing, Workload

_SHAPE: Final = re.compile(r"(\d+)x(\d+)x(\d+)-E(\d+)-k(\d+)((?:-[a-z0-9_.]+)*)")
_SEED: Final = re.compile(r"seed(\d+)")
_GROUPS: Final = re.compile(r"top(\d+)of(\d+)groups")
_SCALED: Final = re.compile(r"scaled(\d+(?:\.\d+)?)")
_SHARED: Final = re.compile(r"shared(\d+)")

#: Word -> the field of the config it sets.
_FLAGS: Final[dict[str, tuple[str, bool]]] = {
    "gated": ("gated", True),
    "raw": ("renormalize", False),
    "bias": ("bias", True),
    "router_bias": ("router_bias", True),
    "correction_bias": ("correction_bias", True),
    "float32_router": ("float32_router", True),
    "balance_loss": ("balance_loss", True),
}

#: The fields whose values are words of their own, with those values.
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "activation": ACTIVATIONS,
    "router": ROUTERS,
    "dtype": tuple(DTYPE_BYTES),
    "device": ("cpu", "cuda"),
}


def is_shape(text: str) -> bool:
    """Whether `text` begins as a shape does: a number, an x, a number."""
    return re.match(r"\d+x\d", text) is not None


def parse_shape(text: str) -> Workload:
    """Returns the workload that `text` spells; its name is the canonical spelling.

    Form: TxDxF-Ee-kK, then any of the activation, gated, raw (weights not renormalised), bias, router_bias, the router,
    correction_bias, topNofMgroups, scaledX, sharedF, float32_router, balance_loss, the dtype, cuda, the routing and
    seedN. What is not said is the default of LayerConfig and Workload.

    Raises:
        UsageError: `text` is not of that form, or the layer it spells cannot be.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"a shape is spelt TOKENSxD_MODELxD_FF-E(experts)-k(top_k), as in 512x128x512-E4-k2-float32; got {text!r}"
        )
    tokens, d_model, d_ff, n_experts, top_k = (int(group) for group in match.groups()[:5])
    layer: dict[str, Any] = {"d_model": d_model, "d_ff": d_ff, "n_experts": n_experts, "top_k": top_k}
    asked: dict[str, Any] = {}
    try:
        for word in match[6].split("-")[1:]:
            if word in set(Routing):
                asked["routing"] = Routing(word)
            elif seed := _SEED.fullmatch(word):
                asked["seed"] = int(seed[1])
            else:
                layer |= _options(word)
        workload = Workload(name=text, tokens=tokens, layer=LayerConfig(**layer), **asked)
    except ValueError as error:
        raise UsageError(f"{text!r} is no shape of a layer: {error}") from None
    return replace(workload, name=shape_string(workload))


def shape_string(workload: Workload) -> str:
    """Returns the canonical spelling, the inverse of `parse_shape`; the dtype is always said."""
    config = workload.layer
    words = [f"{workload.tokens}x{config.d_model}x{config.d_ff}", f"E{config.n_experts}", f"k{config.top_k}"]
    words += [value for value in (config.activation, config.router) if value not in {"relu", "softmax"}]
    words += [word for word, (field, value) in _FLAGS.items() if getattr(config, field) is value]
    if config.n_groups > 1:
        words.append(f"top{config.top_groups}of{config.n_groups}groups")
    if config.routed_scaling != 1:
        words.append(f"scaled{np.format_float_positional(config.routed_scaling, trim='-')}")
    if config.shared_d_ff:
        words.append(f"shared{config.shared_d_ff}")
    words.append(config.dtype)
    if config.device != "cpu":
        words.append(config.device)
    if workload.routing is not Routing.UNIFORM:
        words.append(workload.routing.value)
    if workload.seed:
        words.append(f"seed{workload.seed}")
    return "-".join(words)


def _options(word: str) -> dict[str, Any]:
    """The fields of the config that `word` sets."""
    for field, names in _NAMES.items():
        if word in names:
            return {field: word}
    if word in _FLAGS:
        field, value = _FLAGS[word]
        return {field: value}
    if groups := _GROUPS.fullmatch(word):
        return {"top_groups": int(groups[1]), "n_groups": int(groups[2])}
    if scaled := _SCALED.fullmatch(word):
        return {"routed_scaling": float(scaled[1])}
    if shared := _SHARED.fullmatch(word):
        return {"shared_d_ff": int(shared[1])}
    spelt = [name for values in _NAMES.values() for name in values]
    known = [*spelt, *_FLAGS, "topNofMgroups", "scaledX", "sharedF", *Routing, "seedN"]
    raise ValueError(f"{word!r} is none of {', '.join(known)}")
