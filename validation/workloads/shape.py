"""A workload as one word, for repro lines and ad hoc shapes: `512x128x512-E4-k2-float32`."""

import re
from dataclasses import replace

from validation.usage import UsageError
from validation.workloads.layer import ACTIVATIONS, DTYPE_BYTES, LayerConfig
from validation.workloads.workload import Routing, Workload

_SHAPE = re.compile(r"(\d+)x(\d+)x(\d+)-E(\d+)-k(\d+)((?:-[a-z0-9_]+)*)")
_SEED = re.compile(r"seed(\d+)")

#: Word -> the field of the config it sets.
_FLAGS: dict[str, tuple[str, bool]] = {
    "gated": ("gated", True),
    "raw": ("renormalize", False),
    "bias": ("bias", True),
    "router_bias": ("router_bias", True),
}


def is_shape(text: str) -> bool:
    """Whether `text` begins as a shape does: a number, an x, a number."""
    return re.match(r"\d+x\d", text) is not None


def parse_shape(text: str) -> Workload:
    """Returns the workload that `text` spells; its name is the canonical spelling.

    Form: TxDxF-Ee-kK, then any of the activation, gated, raw (weights not renormalised), bias, router_bias, the dtype,
    cuda, the routing and seedN. What is not said is the default of LayerConfig and Workload.

    Raises:
        UsageError: `text` is not of that form, or the layer it spells cannot be.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"a shape is spelt TOKENSxD_MODELxD_FF-E(experts)-k(top_k), as in 512x128x512-E4-k2-float32; got {text!r}"
        )
    tokens, d_model, d_ff, n_experts, top_k = (int(group) for group in match.groups()[:5])
    try:
        config = LayerConfig(d_model=d_model, d_ff=d_ff, n_experts=n_experts, top_k=top_k)
        workload = Workload(name=text, tokens=tokens, layer=config)
        for word in match[6].split("-")[1:]:
            workload = _with_word(workload, word)
    except ValueError as error:
        raise UsageError(f"{text!r} is no shape of a layer: {error}") from None
    return replace(workload, name=shape_string(workload))


def shape_string(workload: Workload) -> str:
    """Returns the canonical spelling, the inverse of `parse_shape`; the dtype is always said."""
    config = workload.layer
    words = [f"{workload.tokens}x{config.d_model}x{config.d_ff}", f"E{config.n_experts}", f"k{config.top_k}"]
    if config.activation != "relu":
        words.append(config.activation)
    words += [word for word, (field, value) in _FLAGS.items() if getattr(config, field) is value]
    words.append(config.dtype)
    if config.device != "cpu":
        words.append(config.device)
    if workload.routing is not Routing.UNIFORM:
        words.append(workload.routing.value)
    if workload.seed:
        words.append(f"seed{workload.seed}")
    return "-".join(words)


def _with_word(workload: Workload, word: str) -> Workload:
    config = workload.layer
    if word in ACTIVATIONS:
        return replace(workload, layer=replace(config, activation=word))
    if word in DTYPE_BYTES:
        return replace(workload, layer=replace(config, dtype=word))
    if word in {"cpu", "cuda"}:
        return replace(workload, layer=replace(config, device=word))
    if word in _FLAGS:
        field, value = _FLAGS[word]
        return replace(workload, layer=replace(config, **{field: value}))  # type: ignore[arg-type]
    if word in set(Routing):
        return replace(workload, routing=Routing(word))
    if seed := _SEED.fullmatch(word):
        return replace(workload, seed=int(seed[1]))
    known = [*ACTIVATIONS, *_FLAGS, *DTYPE_BYTES, "cpu", "cuda", *Routing, "seedN"]
    raise ValueError(f"{word!r} is none of {', '.join(known)}")
