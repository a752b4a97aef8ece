"""The layer and tokens of a case: random ones, bent as its check says."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from reference import oracle
from validation.correctness.oracle_layer import float64, oracle_layer
from validation.correctness.spec import CaseSpec, Check
from validation.workloads.inputs import draw_tokens, make_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from validation.workloads.layer import Layer

#: Below this many features unit-length router columns are nearly parallel, so that logits tie.
_FEW_FEATURES: Final = 8

#: Share of the elements made subnormal.
_SUBNORMAL_SHARE: Final = 0.1

#: Largest subnormal number of each dtype.
_SUBNORMAL: Final = {"float32": 2.0**-127, "bfloat16": 2.0**-127, "float16": 2.0**-15}

#: How much larger outputs of every second expert are, a power of ten: float16 ends at 65504. Logits, which lie about 1
#: apart, are multiplied by as much: those that were ln 10 = 2.3 apart then make weights of that power's inverse.
_FAINT: Final = {"float32": 8, "bfloat16": 8, "float16": 3}

#: The largest power of ten that a token of a batch is multiplied by; by one below 1 its experts would be equally good.
_TOKEN_POWER: Final = {"float32": 4, "bfloat16": 4, "float16": 1}

#: One token in so many is all zeros, as padding is.
_EVERY_ZERO: Final = 4

#: How far logits are lowered: exp(-104) is 0 in float32. Of a sigmoid router (true) weights are then 1e-7, which
#: remain in proportion where nothing is added to their sum: models add 1e-20.
_SUNK: Final = {False: 200.0, True: 16.0}

#: What rows of weights are multiplied by. Of an 8-bit number that shares its scale with one so much larger 2 bits are
#: left; float16 keeps 10 of all but a few hundredths of those that are divided.
_ROW_POWER: Final = 64.0

#: Logit of an expert that an exact token names; see `_integers`.
_NAMED_LOGIT: Final = 256.0

#: The tensors of a layer apart from the router's.
_EXPERT_TENSORS: Final = (
    *("w1", "w2", "b1", "b2", "w_gate"),
    *("shared_w1", "shared_w2", "shared_b1", "shared_b2", "shared_w_gate"),
)


def draw(spec: CaseSpec) -> tuple[Layer, torch.Tensor]:
    """Returns the case's layer and tokens x [T, d]: the same on every machine and every run."""
    workload = spec.workload
    layer = make_layer(workload.layer, workload.seed)
    if workload.layer.d_model < _FEW_FEATURES:
        # A weight of its own for each expert: logits of the one-feature layer are then spread over [1, 2] x.
        spread = 1.0 + torch.arange(workload.layer.n_experts) / workload.layer.n_experts
        layer = replace(layer, router_weight=_like(layer.router_weight * spread, layer.router_weight))
    x = draw_tokens(workload.layer, workload.tokens, workload.seed, workload.routing)
    bend = _BENDS.get(spec.check)
    return (layer, x) if bend is None else bend(spec, layer, x)


def random_of(spec: CaseSpec, purpose: str) -> np.random.Generator:
    """Returns the random stream of a case for one purpose."""
    words = np.frombuffer(f"{spec.id}|{purpose}".encode(), dtype=np.uint8)
    return np.random.default_rng(np.random.SeedSequence(words.tolist()))


def _scaled(spec: CaseSpec, layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    if spec.modifier == "tokens":
        most = _TOKEN_POWER[spec.workload.layer.dtype]
        powers = torch.arange(len(x)) % (most + 1)
        return layer, _like(x.double() * 10.0 ** powers.double()[:, None], x)
    if spec.modifier == "zeros":
        kept = torch.arange(len(x)) % _EVERY_ZERO != 0
        return layer, x * kept[:, None]
    if spec.modifier == "weights":
        return _unlike_weights(spec, layer, x)
    found = re.fullmatch(r"x(-?\d+)w(-?\d+)", spec.modifier)
    assert found is not None
    x_scale, w_scale = 10.0 ** int(found[1]), 10.0 ** int(found[2])
    # The router makes good for x, so that routing stays as lively as without.
    matrices = [f"{owner}{name}" for owner in ("", "shared_") for name in ("w1", "w2", "w_gate")]
    scaled = {"router_weight": 1.0 / x_scale, **dict.fromkeys(matrices, w_scale)}
    layer, x = _multiplied(layer, scaled), _like(x.double() * x_scale, x)
    while x.dtype is torch.float16 and _overflows(layer, x):
        layer = _multiplied(layer, dict.fromkeys(matrices, 0.1))
    return layer, x


def _unlike_weights(spec: CaseSpec, layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    """About half of the features, and of the hidden units, are 64 times smaller or larger, and their weights make good.

    Every product stays what it was, and as precise in float32 and bfloat16: only weights that share a scale with others
    lose by it. Hidden units are scaled where their scale passes through: ReLU, or the branch beside a gate.
    """
    random, config = random_of(spec, "weights"), layer.config
    through = config.gated or config.activation == "relu"
    scaled: dict[str, torch.Tensor] = {}
    for owner, d_ff in (("", config.d_ff), ("shared_", config.shared_d_ff)):
        hidden = _powers(random, d_ff) if through else torch.ones(d_ff, dtype=torch.float64)
        scaled |= {f"{owner}w1": hidden, f"{owner}b1": hidden, f"{owner}w2": 1.0 / hidden[:, None]}
    features = _powers(random, config.d_model)
    layer = _multiplied(layer, scaled)
    rows = dict.fromkeys(("router_weight", "w1", "w_gate", "shared_w1", "shared_w_gate"), features[:, None])
    return _multiplied(layer, rows), _like(x.double() / features, x)


def _powers(random: np.random.Generator, count: int) -> torch.Tensor:
    """A power of two for each of so many rows, 1 for about half of them."""
    return torch.from_numpy(np.where(random.random(count) < 0.5, 1.0, _ROW_POWER))  # noqa: PLR2004 - half


def _overflows(layer: Layer, x: torch.Tensor) -> bool:
    """Whether an expert leaves the dtype's range for some token, chosen or not: a dense kernel multiplies its inf by 0.

    False where x itself does.
    """
    weights, tokens, largest = oracle_layer(layer), float64(x), torch.finfo(x.dtype).max
    if not np.abs(tokens).max(initial=0.0) <= largest:
        return False
    traces = (oracle.expert_trace(tokens, weights, expert) for expert in range(layer.config.n_experts))
    # Half of it: a kernel's own errors come on top.
    return any(
        np.abs(value).max(initial=0.0) > largest / 2
        for trace in traces
        for value in (trace.pre, trace.gate_pre, trace.hidden, trace.output)
        if value is not None
    )


def _sharpened(spec: CaseSpec, layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    if spec.modifier == "sunk":
        return _sunk(layer, x)
    # Sigmoids of logits beyond 16 are 1 in float32, which leaves nothing to choose by: half the powers of ten.
    power = int(spec.modifier) / (2 if layer.config.router == "sigmoid" else 1)
    return _multiplied(layer, {"router_weight": 10.0**power}), x


def _sunk(layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    """A feature that is 1 in every token lowers all logits alike, which changes no choice, and no weight of softmax."""
    x, router = x.clone(), layer.router_weight.clone()
    x[:, 0] = 1.0
    router[0] -= _SUNK[layer.config.router == "sigmoid"]
    return replace(layer, router_weight=router), x


def _faint(spec: CaseSpec, layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    """Every second expert puts out as many times more as the weights of second choices are small.

    Shared experts have a weight of 1 and stay as they are: beside large outputs theirs would be lost in rounding.
    """
    power = _FAINT[spec.workload.layer.dtype]
    scale = 10.0 ** (power * (torch.arange(layer.config.n_experts) % 2)).double()[:, None, None]
    large = with_tensors(layer, {"w2": _like(layer.w2.double() * scale, layer.w2)})
    return _multiplied(large, {"router_weight": float(power)}), x


def _one_sign(spec: CaseSpec, layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    if spec.modifier == "positive":
        return _mapped(layer, torch.Tensor.abs), x.abs()
    # 1/3 has a recurring binary fraction, so every addition of the same number rounds, and rounds the same way.
    equal = _mapped(layer, lambda tensor: torch.full_like(tensor, 1.0 / (3.0 * (1, *tensor.shape)[-2] ** 0.5)))
    return equal, torch.full_like(x, 1.0 / 3.0)


def _with_subnormals(spec: CaseSpec, layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    random = random_of(spec, "subnormal")

    def spoilt(tensor: torch.Tensor) -> torch.Tensor:
        chosen = torch.from_numpy(random.random(tuple(tensor.shape)) < _SUBNORMAL_SHARE)
        return torch.where(chosen, torch.full_like(tensor, _SUBNORMAL[spec.workload.layer.dtype]), tensor)

    return _mapped(layer, spoilt), spoilt(x)


def _integers(spec: CaseSpec, layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    """Small integers such that no step rounds in any dtype, whatever the order.

    x is in {-1, 0, 1}; columns of w1 hold 4 entries of -1 or 1 and those of w2 hold 8, so hidden values stay within 4
    and outputs within 32. Weights are 1/k with k in {1, 2, 4}: weighted outputs are multiples of 1/4 up to 32, which is
    bfloat16's 8 bits. Entries stand in random rows, so that every row of a matrix counts. Each token names its k
    experts by a logit of 256 against 0: e^-256 is 0, so probabilities are 1/k before and after renormalisation, by
    division or by a reciprocal.
    """
    random = random_of(spec, "integers")
    config = spec.workload.layer
    named = np.argsort(random.random((len(x), config.n_experts)), axis=1)[:, : config.top_k]
    tokens = random.integers(-1, 2, tuple(x.shape)).astype(np.float64)
    tokens[:, : config.n_experts] = 0.0
    np.put_along_axis(tokens, named, 1.0, axis=1)
    router = np.zeros((config.d_model, config.n_experts))
    router[: config.n_experts] = _NAMED_LOGIT * np.eye(config.n_experts)
    w1 = _sparse_signs(random, (config.n_experts, config.d_model, config.d_ff), 4)
    w2 = _sparse_signs(random, (config.n_experts, config.d_ff, config.d_model), 8)
    exact = replace(
        layer,
        router_weight=_like(torch.from_numpy(router), layer.router_weight),
        w1=_like(torch.from_numpy(w1), layer.w1),
        w2=_like(torch.from_numpy(w2), layer.w2),
    )
    return exact, _like(torch.from_numpy(tokens), x)


def _sparse_signs(random: np.random.Generator, shape: tuple[int, int, int], entries: int) -> NDArray[np.float64]:
    """-1 and 1 in so many random rows of each column, 0 elsewhere; the last row gets its share like every other."""
    rows = np.argsort(random.random(shape), axis=1)[:, :entries]
    matrix = np.zeros(shape)
    np.put_along_axis(matrix, rows, random.choice([-1.0, 1.0], size=rows.shape), axis=1)
    return matrix


def _tied(spec: CaseSpec, layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    """Integer logits with many ties: router entries and x are small integers, so every dtype holds logits exactly.

    Only 5 features in {-1, 0, 1} reach the router, so logits are within 5 of 0 and probabilities within e^10 of one
    another: float16 tells them apart.
    """
    random = random_of(spec, "ties")
    router = np.zeros(tuple(layer.router_weight.shape))
    features = min(5, router.shape[0])
    router[:features] = random.integers(-1, 2, (features, router.shape[1]))
    tokens = x.double().numpy().copy()
    tokens[:, :features] = random.integers(-1, 2, (len(x), features))
    tied = replace(layer, router_weight=_like(torch.from_numpy(router), layer.router_weight))
    if layer.correction_bias is not None:
        # A half is no difference between the sigmoids of whole numbers: equal scores stay equal, others apart.
        halves = torch.from_numpy(random.integers(0, 2, router.shape[1]) / 2.0)
        tied = replace(tied, correction_bias=_like(halves, layer.correction_bias))
    return tied, _like(torch.from_numpy(tokens), x)


def _nearly_tied(spec: CaseSpec, layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    """Every second expert's router column is its neighbour's with last bits changed."""
    random = random_of(spec, "near ties")
    router = layer.router_weight.double()
    unit = float(torch.finfo(layer.router_weight.dtype).eps)
    pairs = router.shape[1] // 2
    noise = torch.from_numpy(random.choice([-unit, 0.0, unit], size=(router.shape[0], pairs)))
    router[:, 1 : 2 * pairs : 2] = router[:, 0 : 2 * pairs : 2] * (1.0 + noise)
    near = replace(layer, router_weight=_like(router, layer.router_weight))
    if layer.correction_bias is not None:
        correction = layer.correction_bias.clone()
        correction[1 : 2 * pairs : 2] = correction[0 : 2 * pairs : 2]
        near = replace(near, correction_bias=correction)
    return near, x


def _spoilt_tokens(spec: CaseSpec, layer: Layer, x: torch.Tensor) -> tuple[Layer, torch.Tensor]:
    """One token in four has a NaN or an infinity in one element, first and last token among them."""
    random = random_of(spec, "nonfinite")
    spoilt = x.clone()
    rows = sorted({0, len(x) - 1, *range(2, len(x), 4)})
    for place, row in enumerate(rows):
        spoilt[row, int(random.integers(x.shape[1]))] = (float("nan"), float("inf"), -float("inf"))[place % 3]
    return layer, spoilt


_BENDS: Final[dict[Check, Callable[[CaseSpec, Layer, torch.Tensor], tuple[Layer, torch.Tensor]]]] = {
    Check.SCALE: _scaled,
    Check.ROUTER: _sharpened,
    Check.FAINT: _faint,
    Check.CONSTANT_SIGN: _one_sign,
    Check.SUBNORMAL: _with_subnormals,
    Check.EXACT: _integers,
    Check.EXACT_TIES: _tied,
    Check.NEAR_TIES: _nearly_tied,
    Check.NONFINITE: _spoilt_tokens,
}


def _like(values: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    return values.to(tensor.dtype).contiguous()


def _multiplied(layer: Layer, factors: Mapping[str, float | torch.Tensor]) -> Layer:
    tensors = {name: getattr(layer, name) for name in factors}
    return with_tensors(layer, {n: _like(t.double() * factors[n], t) for n, t in tensors.items() if t is not None})


def _mapped(layer: Layer, function: Callable[[torch.Tensor], torch.Tensor]) -> Layer:
    tensors = {name: getattr(layer, name) for name in _EXPERT_TENSORS}
    return with_tensors(layer, {name: function(tensor) for name, tensor in tensors.items() if tensor is not None})


def with_tensors(layer: Layer, tensors: Mapping[str, torch.Tensor]) -> Layer:
    """Returns the layer with some of its tensors replaced."""
    return replace(layer, **tensors)  # type: ignore[arg-type]  # names of tensors, never config
