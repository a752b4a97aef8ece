"""Which cases a profile runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import numpy as np

from validation.correctness.spec import PLAIN, CaseSpec, Check, LayerVariant
from validation.workloads.layer import LayerConfig
from validation.workloads.workload import Routing, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

_V = TypeVar("_V")

Profile = Literal["smoke", "standard", "full"]

#: Dimensions at which kernels break: 1, one less and one more than a power of two or a tile, primes, odd ones of real
#: models (511, 704), and a few plain ones.
EDGE_DIMENSIONS: Final = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 48, 63, 64, 65, 96, 127, 129, 255, 256, 257, 511, 704)

#: Tokens: none, one, around the heights of register tiles, and a batch.
EDGE_TOKENS: Final = (0, 1, 2, 5, 6, 7, 13, 16, 17, 33, 64, 100, 257)

#: (experts, top_k): one of one, all of them, more experts than tokens, the real models' (8, 2), (128, 8), (256, 8).
EDGE_EXPERTS: Final = ((1, 1), (2, 1), (3, 3), (4, 2), (5, 4), (8, 2), (8, 1), (17, 17), (60, 4), (128, 8), (256, 8))

#: Random cases of a profile, and repetitions of the others with new seeds.
_RANDOM: Final[dict[str, int]] = {"smoke": 16, "standard": 60, "full": 240}
_ROUNDS: Final[dict[str, int]] = {"smoke": 1, "standard": 2, "full": 6}

#: Shapes of the exact tier: top_k is a power of two, and there are features enough to name every expert.
_EXACT: Final = ((40, 65, 127, 8, 2), (17, 255, 65, 16, 1), (48, 64, 128, 8, 1), (33, 96, 257, 5, 4))

#: Choices of a token in a layer of as many experts, from one on.
_CHOICES: Final = 10

#: FLOP of one case: 0.2 s for a kernel of 1 GFLOP/s, and as much for the oracle.
_MOST_FLOPS: Final = 2e8

#: Elements of one expert matrix stack.
_MOST_WEIGHTS: Final = 1 << 22

#: Scales of x and of w1 and w2, powers of ten; float16 ends at 65504.
_SCALES: Final = {
    "float32": ((4, 4), (-4, -4), (4, -4)),
    "bfloat16": ((4, 4), (-4, -4), (-4, 4)),
    "float16": ((1, 1), (1, -1)),
}

#: Hidden units of a shared expert that are more than any tile or slice holds.
_WIDE_SHARED: Final = 1040

#: How x may be strided.
_STRIDES: Final = ("rows", "transposed", "features")

#: Scale of the router's weights, a power of ten; "sunk" lowers all logits. In 16 bits a flat router leaves nothing to
#: choose by, nor do such logits.
_ROUTERS: Final = {"float32": ("2", "-2", "sunk"), "bfloat16": ("1",), "float16": ("1",)}


def plan_cases(
    profile: Profile, dtype: str, seed: int = 0, variants: Sequence[LayerVariant] = (PLAIN,)
) -> tuple[CaseSpec, ...]:
    """Returns the profile's cases for one dtype, the same for the same seed, quickest to tell a wrong kernel first."""
    random = np.random.default_rng((seed, *dtype.encode()))
    plain = PLAIN in variants
    rounds = [
        spec
        for turn in range(_ROUNDS[profile])
        for spec in _round(dtype, seed + turn, variants[turn % len(variants)], plain=plain)
    ]
    if profile == "full":
        # 1.6 million token-expert pairs: more than one pass over the tokens for kernels with a bounded workspace.
        rounds.append(_case(Check.RANDOM, (200_003, 8, 8, 8, 8), dtype, seed, variants[0]))
    others = [spec for variant in variants[1:] for spec in _variant_cases(dtype, seed, variant)]
    if profile != "smoke":
        rounds += _prefill(dtype, seed, variants[0])
    return (*rounds, *others, *_random_cases(_RANDOM[profile], dtype, seed, variants, random))


def brief_cases(dtype: str, seed: int = 0, variants: Sequence[LayerVariant] = (PLAIN,)) -> tuple[CaseSpec, ...]:
    """Returns a few cases of each variant: what a profile that is short of time asks of all dtypes but the first.

    Exact ties too, once: a promise about them is one for every dtype.
    """
    ties = [_case(Check.EXACT_TIES, (64, 48, 32, 8, 2), dtype, seed, variant) for variant in variants[:1]]
    return (*ties, *(spec for variant in variants for spec in _variant_cases(dtype, seed, variant)))


def _case(  # noqa: PLR0913 -- a shape has as many dimensions
    check: Check,
    shape: tuple[int, int, int, int, int],
    dtype: str,
    seed: int,
    variant: LayerVariant = PLAIN,
    *,
    modifier: str = "",
    routing: Routing = Routing.UNIFORM,
) -> CaseSpec:
    tokens, d_model, d_ff, n_experts, top_k = shape
    config = variant.of(LayerConfig(d_model=d_model, d_ff=d_ff, n_experts=n_experts, top_k=top_k, dtype=dtype))
    workload = Workload(name="case", tokens=tokens, layer=config, routing=routing, seed=seed)
    return CaseSpec(check=check, workload=workload, modifier=modifier)


def _round(dtype: str, seed: int, variant: LayerVariant, *, plain: bool) -> list[CaseSpec]:
    """One of each check, on shapes that are no multiple of any tile, so that each check meets tails too.

    The exact tier is of the `plain` layer alone.
    """
    middling, odd = (48, 64, 96, 8, 2), (33, 63, 129, 5, 2)
    cases = [
        _case(Check.RANDOM, (64, 128, 256, 4, 2), dtype, seed, variant),
        *(_case(Check.EXACT, shape, dtype, seed) for shape in _EXACT if plain),
        _case(Check.EXACT_TIES, (64, 48, 32, 8, 2), dtype, seed, variant),
        _case(Check.EXACT_TIES, (32, 31, 33, 64, 4), dtype, seed, variant),
        _case(Check.EXACT_TIES, (32, 32, 48, 160, 6), dtype, seed, variant),
        _case(Check.NEAR_TIES, (64, 64, 48, 8, 2), dtype, seed, variant),
        _case(Check.CONSTANT_SIGN, (24, 257, 511, 4, 2), dtype, seed, variant, modifier="positive"),
        _case(Check.CONSTANT_SIGN, (24, 255, 513, 4, 2), dtype, seed, variant, modifier="equal"),
        _case(Check.SUBNORMAL, odd, dtype, seed, variant),
        _case(Check.NONFINITE, (48, 63, 95, 8, 2), dtype, seed, variant),
        # Enough tokens for a path of large batches, too.
        _case(Check.NONFINITE, (290, 64, 96, 8, 2), dtype, seed, variant),
        # And few enough for one of a few.
        _case(Check.NONFINITE, (3, 64, 96, 8, 2), dtype, seed, variant),
        _case(Check.PERMUTATION, odd, dtype, seed, variant),
        _case(Check.RELABELLING, middling, dtype, seed, variant),
        _case(Check.SPLIT, (65, 33, 48, 4, 2), dtype, seed, variant),
        _case(Check.DUPLICATE, middling, dtype, seed, variant),
        _case(Check.SCALED_W2, odd, dtype, seed, variant),
        _case(Check.SHRINKING, (64, 48, 65, 6, 3), dtype, seed, variant),
        _case(Check.LENGTHS, (600, 32, 48, 4, 2), dtype, seed, variant),
        _case(Check.FAINT, (200, 32, 48, 6, 2), dtype, seed, variant),
        _case(Check.FAINT, (4, 32, 48, 2, 2), dtype, seed, variant),
        _case(Check.SKEWED, (400, 32, 48, 8, 2), dtype, seed, variant),
        _case(Check.SEVERAL_LAYERS, (33, 48, 80, 5, 2), dtype, seed, variant),
        _case(Check.REPEAT, (128, 64, 96, 8, 2), dtype, seed, variant),
        # Sums so long, or so few, that kernels share them out among threads.
        _case(Check.REPEAT, (40, 64, 640, 8, 2), dtype, seed, variant),
        _case(Check.REPEAT, (1, 512, 640, 4, 2), dtype, seed, variant),
        # And rows so many.
        _case(Check.REPEAT, (600, 64, 128, 4, 2), dtype, seed, variant),
        *(_case(Check.STRIDED, middling, dtype, seed, variant, modifier=how) for how in _STRIDES),
        _case(Check.MISALIGNED, middling, dtype, seed, variant),
        # More tokens, and more elements, than 16 bits count; one token lost in 70 001 is one row wrong.
        _case(Check.RANDOM, (70_001, 16, 16, 4, 2), dtype, seed, variant),
        # More than 2^23 hidden values, or 2^22 outputs of experts: more than one pass for kernels with a bounded
        # workspace.
        _case(Check.RANDOM, (8209, 16, 528, 4, 2), dtype, seed, variant),
        _case(Check.RANDOM, (8209, 272, 16, 4, 2), dtype, seed, variant),
        # Every number of choices that a switch may have.
        *(_case(Check.RANDOM, (24, 32, 48, _CHOICES, k), dtype, seed, variant) for k in range(1, _CHOICES + 1)),
        # More tokens of one expert than 16 bits count.
        _case(Check.RANDOM, (70_001, 8, 8, 2, 2), dtype, seed, variant),
        # A path for large batches, whose tiles do not divide the tokens: the case above has too few features for one.
        _case(Check.RANDOM, (1021, 72, 80, 3, 2), dtype, seed, variant),
        # Of widths for which large batches pay off, too.
        _case(Check.RANDOM, (2053, 64, 128, 8, 2), dtype, seed, variant),
        _case(Check.RANDOM, (4111, 80, 64, 4, 2), dtype, seed, variant),
        # And none left over behind the last of several passes.
        _case(Check.RANDOM, (4096, 16, 32, 4, 2), dtype, seed, variant),
        # As many choices as a real model's prefill has, of its experts: more than 15 bits count, and so many tokens
        # that seven of one's eight choices come to lie in one quarter of the experts.
        _case(Check.RANDOM, (4111, 32, 16, 128, 8), dtype, seed, variant),
        # Sums so long that kernels cut them.
        _case(Check.RANDOM, (30, 1100, 40, 3, 2), dtype, seed, variant),
        # Or that are added up slice by slice: the real models' widths are up to 7168 and 14336.
        _case(Check.RANDOM, (6, 4112, 16, 2, 1), dtype, seed, variant),
        _case(Check.RANDOM, (6, 16, 4112, 2, 1), dtype, seed, variant),
        _case(Check.RANDOM, (3, 16_400, 16, 2, 1), dtype, seed, variant),
        _case(Check.RANDOM, (3, 16, 16_400, 2, 1), dtype, seed, variant),
        # Widths of real models are multiples of 512, for which a kernel may have paths of its own.
        _case(Check.RANDOM, (20, 1024, 1536, 2, 1), dtype, seed, variant),
        # With so many rows that a kernel cuts the hidden units in slices, too.
        _case(Check.RANDOM, (290, 40, 2100, 3, 2), dtype, seed, variant),
        # One token, or a few, of many experts, as a real model decodes; and more choices than eight of many.
        *(_case(Check.RANDOM, (1, 64, 48, experts, 8), dtype, seed, variant) for experts in (64, 128, 256)),
        _case(Check.RANDOM, (4, 64, 48, 128, 8), dtype, seed, variant),
        _case(Check.RANDOM, (40, 32, 24, 72, 10), dtype, seed, variant),
        _case(Check.RANDOM, (24, 32, 24, 130, 17), dtype, seed, variant),
        # Neither a power of two nor beside one: DeepSeek-V2's.
        _case(Check.RANDOM, (40, 32, 48, 160, 6), dtype, seed, variant),
        # More experts than 8 bits count (Kimi K2's 384), which any kernel may decline.
        _case(Check.RANDOM, (40, 32, 24, 384, 8), dtype, seed, variant),
        _case(Check.RANDOM, (48, 64, 64, 16, 2), dtype, seed, variant, routing=Routing.ALL_TO_ONE),
        # One row of an expert more than tiles hold.
        *(
            _case(Check.RANDOM, (rows, 64, 64, 8, 2), dtype, seed, variant, routing=Routing.ALL_TO_ONE)
            for rows in (65, 129, 257, 513)
        ),
        # Twice an expert's fair share and far more, of many tokens and of few: none may be dropped.
        _case(Check.RANDOM, (1030, 24, 40, 8, 2), dtype, seed, variant, routing=Routing.ALL_TO_ONE),
        _case(Check.RANDOM, (8209, 16, 24, 8, 2), dtype, seed, variant, routing=Routing.ALL_TO_ONE),
        # Or four times it, of experts that have few tokens each.
        _case(Check.RANDOM, (2053, 16, 32, 64, 2), dtype, seed, variant, routing=Routing.ALL_TO_ONE),
        _case(Check.RANDOM, (3, 64, 64, 64, 2), dtype, seed, variant, routing=Routing.ZIPF),
    ]
    cases += [
        _case(Check.SCALE, odd, dtype, seed, variant, modifier=f"x{x_scale}w{w_scale}")
        for x_scale, w_scale in _SCALES[dtype]
    ]
    # Each token by a power of its own: nothing may be relative to the largest of a batch.
    cases.append(_case(Check.SCALE, (48, 64, 96, 8, 2), dtype, seed, variant, modifier="tokens"))
    cases.append(_case(Check.SCALE, middling, dtype, seed, variant, modifier="zeros"))
    # Nor weights relative to the largest of a group: those of 8 bits with a scale for 32 pass for bfloat16 without.
    cases.append(_case(Check.SCALE, (48, 128, 192, 4, 2), dtype, seed, variant, modifier="weights"))
    cases += [_case(Check.ROUTER, middling, dtype, seed, variant, modifier=modifier) for modifier in _ROUTERS[dtype]]
    # A decoding path may have a softmax of its own.
    cases.append(_case(Check.ROUTER, (3, 64, 96, 8, 2), dtype, seed, variant, modifier=_ROUTERS[dtype][0]))
    if "-2" in _ROUTERS[dtype]:
        # Of so many experts, all alike, a weight is small before it is divided by the sum of the chosen.
        cases.append(_case(Check.ROUTER, (24, 64, 48, 128, 1), dtype, seed, variant, modifier="-2"))
    return cases


def _prefill(dtype: str, seed: int, variant: LayerVariant) -> list[CaseSpec]:
    """What a path for large batches of a real model's widths may do in a way of its own.

    Both widths are above 512, and most experts have more than 128 rows. They are whole tiles of 64: at 528 features
    oneDNN's products by AMX brought a token's NaN to the one before it, as at odd widths.
    """
    shape = (300, 576, 640, 4, 2)
    x_scale, w_scale = _SCALES[dtype][0]
    return [
        _case(Check.RANDOM, shape, dtype, seed, variant),
        # So wide that sums which are added up in 16 bits show.
        _case(Check.RANDOM, (300, 96, 8208, 2, 1), dtype, seed, variant),
        _case(Check.FAINT, shape, dtype, seed, variant),
        *(_case(Check.ROUTER, shape, dtype, seed, variant, modifier=modifier) for modifier in _ROUTERS[dtype]),
        *(
            _case(Check.SCALE, shape, dtype, seed, variant, modifier=modifier)
            for modifier in (f"x{x_scale}w{w_scale}", "tokens", "zeros")
        ),
        _case(Check.NONFINITE, shape, dtype, seed, variant),
        *(_case(Check.STRIDED, shape, dtype, seed, variant, modifier=how) for how in _STRIDES),
        _case(Check.MISALIGNED, shape, dtype, seed, variant),
        # Weights may be packed, or found, in another way than for a few tokens.
        _case(Check.SEVERAL_LAYERS, (290, 64, 80, 4, 2), dtype, seed, variant),
    ]


def _variant_cases(dtype: str, seed: int, variant: LayerVariant) -> list[CaseSpec]:
    """What a variant of the layer is asked beside its share of the random cases."""
    # A sigmoid's logits, which no maximum is taken from, have a path of their own.
    sunk = variant.router == "sigmoid" and "sunk" in _ROUTERS[dtype]
    x_scale, w_scale = _SCALES[dtype][0]
    # Real models' shared experts are as wide as theirs, and wider.
    shared = [replace(variant, shared_d_ff=_WIDE_SHARED)] if variant.shared_d_ff else []
    return [
        *(_case(Check.ROUTER, (24, 64, 96, 8, 2), dtype, seed, variant, modifier="sunk") for _ in range(sunk)),
        _case(Check.RANDOM, (40, 65, 129, 5, 2), dtype, seed, variant),
        _case(Check.SHRINKING, (24, 33, 48, 4, 2), dtype, seed, variant),
        _case(Check.REPEAT, (32, 48, 64, 4, 2), dtype, seed, variant),
        # An activation may overflow, or weights be found by what layers of other weights share.
        _case(Check.SCALE, (24, 48, 64, 4, 2), dtype, seed, variant, modifier=f"x{x_scale}w{w_scale}"),
        _case(Check.SEVERAL_LAYERS, (16, 32, 48, 4, 2), dtype, seed, variant),
        *(_case(Check.RANDOM, (24, 64, 48, 4, 2), dtype, seed, wide) for wide in shared),
    ]


def _random_cases(
    count: int, dtype: str, seed: int, variants: Sequence[LayerVariant], random: np.random.Generator
) -> list[CaseSpec]:
    """Random cases that go through every edge in turn, in an order of their own for each dimension."""
    tokens, d_models, d_ffs = (_shuffled(random, EDGE_TOKENS), *(_shuffled(random, EDGE_DIMENSIONS) for _ in range(2)))
    experts = _shuffled(random, EDGE_EXPERTS)
    routings = (Routing.UNIFORM, Routing.ZIPF, Routing.UNIFORM, Routing.ALL_TO_ONE)
    cases = []
    for number in range(count):
        shape = (
            tokens[number % len(tokens)],
            d_models[number % len(d_models)],
            d_ffs[(number + number // len(d_ffs)) % len(d_ffs)],
            *experts[number % len(experts)],
        )
        variant = variants[number % len(variants)]
        fitted = _fitted(shape)
        cases.append(_case(Check.RANDOM, fitted, dtype, seed + number, variant, routing=routings[number % 4]))
    return cases


def _shuffled(random: np.random.Generator, values: Sequence[_V]) -> list[_V]:
    return [values[place] for place in random.permutation(len(values))]


def _fitted(shape: tuple[int, int, int, int, int]) -> tuple[int, int, int, int, int]:
    """The shape, with experts and then tokens reduced until the case is quick."""
    tokens, d_model, d_ff, n_experts, top_k = shape
    n_experts = max(1, min(n_experts, _MOST_WEIGHTS // (d_model * d_ff)))
    top_k = min(top_k, n_experts)
    most = int(_MOST_FLOPS // (6 * top_k * d_model * d_ff))
    return min(tokens, max(most, 1)), d_model, d_ff, n_experts, top_k
