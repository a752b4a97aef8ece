"""Seeded layers and tokens, the same on every run.

Every array has its own Philox stream, keyed by what it is and by the seed: a layer does not depend on T or dtype, so
seed-claim and seed-claim-t1 share their weights, and the bfloat16 layer is the float32 one, rounded.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from validation.workloads.layer import Layer, LayerConfig
from validation.workloads.workload import Routing, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

#: Spread of the biases: small beside activations of O(1), large beside any error bound.
_BIAS_SCALE: Final = 0.1

#: How far a skewed token is pushed along the router column of an expert it shall choose. Logits have spread 1, so the
#: largest of 256 unpushed ones stands near 2.8: at 8 the push decides but for 1 token in a thousand.
_PUSH: Final = 8.0

#: Under a sigmoid router less: beyond a logit of 4 scores differ by less than bfloat16 tells apart.
_SIGMOID_PUSH: Final = 4.0

#: Exponent of the Zipf distribution over expert ids: expert 0 is asked for most.
_ZIPF_EXPONENT: Final = 1.0

#: A bank of few-token workloads still has this many rows, so that no batch recurs within a process.
_LEAST_BANK_ROWS: Final = 1024

#: Above this many tokens a bank holds 9/8 T rows, not 2 T: the oracle answers every row once, in float64.
_LARGE_BATCH: Final = 2048


def make_layer(config: LayerConfig, seed: int = 0) -> Layer:
    """Returns a layer with random weights, scaled by 1/sqrt(fan-in) so that activations and outputs are O(1).

    They lie on the host, whatever config.device says: the worker of a kernel brings them to its device.
    Router columns have unit length, so that no expert is favoured: logits of a token have spread 1.
    """
    d, f, experts = config.d_model, config.d_ff, config.n_experts
    key = ("layer", d, f, experts, seed)
    down_shape, up_shape = (experts, f, d), (experts, d, f)
    tensors: dict[str, torch.Tensor] = {
        "router_weight": torch.from_numpy(_router_weight(config, seed)),
        "w1": _stack((*key, "w1"), up_shape, d**-0.5, config.dtype),
        "w2": _stack((*key, "w2"), down_shape, f**-0.5, config.dtype),
    }
    if config.gated:
        tensors["w_gate"] = _stack((*key, "w_gate"), up_shape, d**-0.5, config.dtype)
    if config.bias:
        tensors["b1"] = _stack((*key, "b1"), (experts, f), _BIAS_SCALE, config.dtype)
        tensors["b2"] = _stack((*key, "b2"), (experts, d), _BIAS_SCALE, config.dtype)
    if config.router_bias:
        tensors["router_bias"] = _vector((*key, "router_bias"), experts)
    if config.correction_bias:
        tensors["correction_bias"] = _vector((*key, "correction_bias"), experts)
        if config.n_groups == 1:
            # Below zero all of them, which an expert that is none, of zeros that fill up, must not be chosen for. With
            # groups transformers' own router puts zeros for what is not among the best.
            tensors["correction_bias"] -= 1
    if config.shared_d_ff:
        tensors |= _shared_expert(config, (*key, "shared", config.shared_d_ff))
    dtypes = {"correction_bias": "float32", "router_weight": config.router_dtype, "router_bias": config.router_dtype}
    return Layer(
        config=config,
        **{name: value.to(getattr(torch, dtypes.get(name, config.dtype))) for name, value in tensors.items()},
    )


def draw_tokens(
    config: LayerConfig, count: int, seed: int = 0, routing: Routing = Routing.UNIFORM, stream: str = "tokens"
) -> torch.Tensor:
    """Returns `count` tokens [count, d] on the CPU, in the layer's dtype, that `make_layer(config, seed)` so routes.

    The layer stays a plain one: a skewed token is a random one pushed along the router columns of the experts that it
    shall choose. `stream` names another independent draw.
    """
    random = _stream(stream, config.d_model, config.n_experts, routing.value, seed)
    tokens = random.standard_normal((count, config.d_model), np.float32)
    wanted = _wanted_experts(random, count, config, routing)
    columns = _router_weight(config, seed).T
    push = np.float32(_SIGMOID_PUSH if config.router == "sigmoid" else _PUSH)
    for slot in range(wanted.shape[1]):
        tokens += push * columns[wanted[:, slot]]
    dtype: torch.dtype = getattr(torch, config.dtype)
    return torch.from_numpy(tokens).to(dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBank:
    """Rows of tokens [M, d] from which every timed call draws a fresh batch.

    A layer treats each token alone, so the answer of a batch is the same rows of the bank's answers.
    """

    workload: Workload
    tokens: torch.Tensor

    @classmethod
    def draw(cls, workload: Workload) -> TokenBank:
        """Returns the workload's bank: on the CPU, in its dtype, the same each time it is drawn."""
        layer, rows = workload.layer, bank_rows(workload.tokens)
        return cls(workload=workload, tokens=draw_tokens(layer, rows, workload.seed, workload.routing, "bank"))

    def rows(self, *key: int | str, call: int) -> npt.NDArray[np.int64]:
        """Returns the rows [T] of a call of the process that `key` names (its round and role), none twice.

        Batches are cut from keyed permutations of the bank, so consecutive calls share no row until the bank is used
        up, and a batch that recurs in its order is as good as impossible.
        """
        tokens = self.workload.tokens
        if tokens == 0:
            return np.empty(0, np.int64)
        permutation, batch = divmod(call, len(self.tokens) // tokens)
        order = _stream("rows", self.workload.name, self.workload.seed, *key, permutation).permutation(len(self.tokens))
        return order[batch * tokens : (batch + 1) * tokens]

    def gather(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """Returns those rows as a new contiguous tensor [T, d]."""
        return self.tokens.index_select(0, torch.from_numpy(rows))


def bank_rows(tokens: int) -> int:
    """Returns how many rows the bank of a T-token workload holds: at least 2 T, and 9/8 T for large T."""
    if tokens > _LARGE_BATCH:
        return tokens + tokens // 8
    return max(2 * tokens, _LEAST_BANK_ROWS)


def _wanted_experts(
    random: np.random.Generator, count: int, config: LayerConfig, routing: Routing
) -> npt.NDArray[np.int64]:
    """Expert ids [count, m] each token is pushed to: none (uniform), expert 0, or top_k ids drawn by Zipf's law."""
    if routing is Routing.UNIFORM:
        return np.empty((count, 0), np.int64)
    if routing is Routing.ALL_TO_ONE:
        return np.zeros((count, 1), np.int64)
    # The k largest of log p + Gumbel noise are a draw of k without replacement (Efraimidis and Spirakis 2006).
    log_share = -_ZIPF_EXPONENT * np.log(np.arange(1, config.n_experts + 1))
    noisy = log_share + random.gumbel(size=(count, config.n_experts))
    return np.argsort(-noisy, axis=1)[:, : config.top_k]


def _router_weight(config: LayerConfig, seed: int) -> npt.NDArray[np.float32]:
    key = ("layer", config.d_model, config.d_ff, config.n_experts, seed, "router_weight")
    weight = _stream(*key).standard_normal((config.d_model, config.n_experts), np.float32)
    lengths = np.sqrt(np.sum(np.square(weight, dtype=np.float64), axis=0))
    weight /= lengths.astype(np.float32)
    return weight


def _shared_expert(config: LayerConfig, key: tuple[int | str, ...]) -> dict[str, torch.Tensor]:
    """The tensors of the expert that every token passes, scaled as the others are."""
    d, f = config.d_model, config.shared_d_ff
    tensors = {
        "shared_w1": _stack((*key, "w1"), (1, d, f), d**-0.5, config.dtype)[0],
        "shared_w2": _stack((*key, "w2"), (1, f, d), f**-0.5, config.dtype)[0],
    }
    if config.gated:
        tensors["shared_w_gate"] = _stack((*key, "w_gate"), (1, d, f), d**-0.5, config.dtype)[0]
    if config.bias:
        tensors["shared_b1"] = _vector((*key, "b1"), f)
        tensors["shared_b2"] = _vector((*key, "b2"), d)
    return tensors


def _vector(key: tuple[int | str, ...], length: int) -> torch.Tensor:
    """A bias [length]."""
    return torch.from_numpy(_stream(*key).standard_normal(length, np.float32) * np.float32(_BIAS_SCALE))


def _stack(key: Sequence[int | str], shape: tuple[int, ...], scale: float, dtype: str) -> torch.Tensor:
    """Normal values, each expert from its own stream: threads share the work, and the result does not know."""
    stack = torch.empty(shape, dtype=getattr(torch, dtype))

    def fill(expert: int) -> None:
        values = _stream(*key, expert).standard_normal(shape[1:], np.float32)
        values *= np.float32(scale)
        stack[expert] = torch.from_numpy(values)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(fill, range(shape[0])))
    return stack


def _stream(*key: int | str) -> np.random.Generator:
    """The random stream of `key`: Philox is counter-based, so streams of different keys are independent."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(int.from_bytes(digest))))
