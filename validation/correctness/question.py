"""The calls a case makes, each with what is expected of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from validation.correctness.expected import Expected, expect
from validation.correctness.material import draw, random_of, with_tensors
from validation.correctness.spec import CaseSpec, Check
from validation.workloads.inputs import draw_tokens
from validation.workloads.workload import Routing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from validation.workloads.layer import Layer

#: Times the same input is given in the repeat check: a race that shows in one call of four is missed in 0.1 %.
_REPEATS: Final = 24

#: Every number of tokens up to this one, for tails of every tile; then every 13th, whose 39 sizes meet every tail of 16
#: and of 32 in paths for larger batches too, and no tail of 128 twice.
_EVERY_LENGTH: Final = 80
_THEN: Final = 13

#: So many layers stay prepared at a time, as in a model of many: one more than a kernel of eight buffers has room for.
LAYERS_KEPT: Final = 9

#: What lies between the rows of a strided x, or between its features: no token's value. Not NaN: PyTorch 2.13
#: multiplies bfloat16 rows by AMX in whole tiles, what lies behind a row's end by zeros, so that its honest kernels
#: answered NaN.
_BETWEEN_ROWS: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: the layer it is made on, its input x [T, d], what is expected, and what it is, in words.

    `overlooked` is what a kernel answers that takes a strided x for a contiguous one. A `refusable` call may raise
    instead; the calls after it may not.
    """

    label: str
    layer: Layer
    x: torch.Tensor
    expected: Expected
    overlooked: Expected | None = None
    refusable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Calls to be made in turn. `same_bits` outputs must be identical."""

    calls: tuple[Call, ...]
    same_bits: bool = False


def ask(spec: CaseSpec) -> Question:
    """Returns the case's calls; the oracle answers here, so nothing of it is needed afterwards."""
    layer, x = draw(spec)
    # Of several experts the weights may have come by logarithms: exp(z - logsumexp(z)) is not quite a half.
    exact = spec.check is Check.EXACT and spec.workload.layer.top_k == 1
    expected = expect(layer, x, exact=exact, exact_routing=spec.check is Check.EXACT_TIES)
    base = Call(label="", layer=layer, x=x, expected=expected)
    more = _MORE.get(spec.check)
    return Question(calls=(base,)) if more is None else more(spec, base)


def _rows(base: Call, label: str, index: Sequence[int] | NDArray[np.int64]) -> Call:
    rows = np.asarray(index, dtype=np.int64)
    x = base.x.index_select(0, torch.from_numpy(rows))
    return Call(label=label, layer=base.layer, x=x, expected=base.expected.rows(rows))


def _permutation(spec: CaseSpec, base: Call) -> Question:
    order = random_of(spec, "order").permutation(len(base.x))
    return Question(calls=(base, _rows(base, "tokens permuted", order)))


def _relabelling(spec: CaseSpec, base: Call) -> Question:
    order = torch.from_numpy(random_of(spec, "labels").permutation(base.layer.config.n_experts))
    stacked = ("w1", "w2", "w_gate", "b1", "b2", "router_bias", "correction_bias")
    tensors = {name: getattr(base.layer, name) for name in stacked}
    relabelled = {name: tensor[order].contiguous() for name, tensor in tensors.items() if tensor is not None}
    relabelled["router_weight"] = base.layer.router_weight[:, order].contiguous()
    layer = with_tensors(base.layer, relabelled)
    other = Call(label="experts relabelled", layer=layer, x=base.x, expected=expect(layer, base.x))
    return Question(calls=(base, other))


def _split(spec: CaseSpec, base: Call) -> Question:
    tokens = len(base.x)
    cut = int(random_of(spec, "cut").integers(1, max(tokens, 2)))
    first, second = np.arange(min(cut, tokens)), np.arange(min(cut, tokens), tokens)
    pieces = (_rows(base, f"its first {len(first)} tokens", first), _rows(base, f"its last {len(second)}", second))
    return Question(calls=(base, *pieces))


def _duplicate(spec: CaseSpec, base: Call) -> Question:
    random = random_of(spec, "duplicate")
    index = random.integers(0, 3, len(base.x)) if len(base.x) > 2 else np.arange(len(base.x))  # noqa: PLR2004
    return Question(calls=(base, _rows(base, "three tokens over and over", index)))


def _scaled_w2(_: CaseSpec, base: Call) -> Question:
    last = {name: getattr(base.layer, name) for name in ("w2", "b2", "shared_w2", "shared_b2")}
    doubled = with_tensors(base.layer, {name: tensor * 2 for name, tensor in last.items() if tensor is not None})
    return Question(calls=(base, Call(label="w2 doubled", layer=doubled, x=base.x, expected=expect(doubled, base.x))))


def _shrinking(_: CaseSpec, base: Call) -> Question:
    tokens = len(base.x)
    sizes = [size for size in (tokens // 2, 1, 0) if size < tokens]
    # Backwards, so that hardly a token stands where it stood in a larger batch.
    fewer = [_rows(base, f"then {size} tokens", np.arange(size - 1, -1, -1)) for size in sizes]
    return Question(calls=(base, *fewer, replace(base, label="then all again")))


def _lengths(spec: CaseSpec, base: Call) -> Question:
    order = random_of(spec, "lengths").permutation(len(base.x))
    sizes = (*range(1, _EVERY_LENGTH + 1), *range(_EVERY_LENGTH + _THEN, len(order), _THEN))
    fewer = [_rows(base, f"{size} of its tokens", order[:size]) for size in sizes]
    return Question(calls=(base, *fewer))


def _skewed(spec: CaseSpec, base: Call) -> Question:
    workload = replace(spec.workload, routing=Routing.ALL_TO_ONE)
    x = draw_tokens(workload.layer, workload.tokens, workload.seed, workload.routing)
    of_one = replace(base, label="then tokens of one expert", x=x, expected=expect(base.layer, x))
    return Question(calls=(base, of_one, replace(base, label="then the first again")))


def _several_layers(spec: CaseSpec, base: Call) -> Question:
    """As many more layers as stay prepared, and one: whose weights may lie where those of a forgotten one lay."""
    others = []
    for number in range(1, LAYERS_KEPT + 2):
        layer, x = draw(replace(spec, workload=replace(spec.workload, seed=spec.workload.seed + number)))
        others.append(Call(label=f"layer {number + 1}", layer=layer, x=x, expected=expect(layer, x)))
    oldest = others[-LAYERS_KEPT]
    return Question(calls=(base, *others, replace(oldest, label=f"{oldest.label} again")))


def _repeat(_: CaseSpec, base: Call) -> Question:
    again = (replace(base, label=f"call {call}", x=base.x.clone()) for call in range(2, _REPEATS + 1))
    return Question(calls=(base, *again), same_bits=True)


def _nonfinite(spec: CaseSpec, base: Call) -> Question:
    """Then NaN alone through a layer one wider, and clean tokens again: a NaN left in padding must not come back."""
    workload = spec.workload
    config = replace(workload.layer, d_model=workload.layer.d_model + 1, d_ff=workload.layer.d_ff + 1)
    wider, x = draw(replace(spec, check=Check.RANDOM, workload=replace(workload, layer=config)))
    x = torch.full_like(x, float("nan"))
    spoilt = Call(label="a wider layer, NaN alone", layer=wider, x=x, expected=expect(wider, x), refusable=True)
    clean_x = draw(replace(spec, check=Check.RANDOM))[1]
    clean = replace(base, label="then clean tokens", x=clean_x, expected=expect(base.layer, clean_x))
    return Question(calls=(replace(base, refusable=True), spoilt, clean))


def _strided(spec: CaseSpec, base: Call) -> Question:
    x = base.x
    if spec.modifier == "transposed":
        view = x.t().contiguous().t()
    elif spec.modifier == "features":
        wide = torch.full((x.shape[0], 2 * x.shape[1]), _BETWEEN_ROWS, dtype=x.dtype)
        wide[:, ::2] = x
        view = wide[:, ::2]
    else:
        wide = torch.full((x.shape[0], x.shape[1] + 3), _BETWEEN_ROWS, dtype=x.dtype)
        wide[:, : x.shape[1]] = x
        view = wide[:, : x.shape[1]]
    flat = torch.as_strided(view, view.shape, (view.shape[1], 1)).clone()
    overlooked = expect(base.layer, flat) if view.numel() and not torch.equal(flat, x) else None
    call = replace(base, x=view, label=f"strides {list(view.stride())}", overlooked=overlooked, refusable=True)
    return Question(calls=(call,))


def _misaligned(_: CaseSpec, base: Call) -> Question:
    room = torch.full((base.x.numel() + 1,), float("nan"), dtype=base.x.dtype)
    view = room[1:].view(base.x.shape)
    view.copy_(base.x)
    return Question(calls=(replace(base, x=view, label="one element off alignment", refusable=True),))


_MORE: Final[dict[Check, Callable[[CaseSpec, Call], Question]]] = {
    Check.PERMUTATION: _permutation,
    Check.RELABELLING: _relabelling,
    Check.SPLIT: _split,
    Check.DUPLICATE: _duplicate,
    Check.SCALED_W2: _scaled_w2,
    Check.SHRINKING: _shrinking,
    Check.LENGTHS: _lengths,
    Check.SKEWED: _skewed,
    Check.SEVERAL_LAYERS: _several_layers,
    Check.REPEAT: _repeat,
    Check.NONFINITE: _nonfinite,
    Check.STRIDED: _strided,
    Check.MISALIGNED: _misaligned,
}
