"""What a correctness case asks, spelt in its id: the check, how it is bent, and the shape, variant and seed."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from validation.usage import UsageError, unknown_name
from validation.workloads.shape import parse_shape, shape_string

if TYPE_CHECKING:
    from validation.workloads.layer import LayerConfig
    from validation.workloads.workload import Workload


class Check(StrEnum):
    """The questions the suite asks. The modifier a check takes is in MODIFIERS."""

    RANDOM = "random"
    SCALE = "scale"
    ROUTER = "router"
    FAINT = "faint"
    CONSTANT_SIGN = "constant_sign"
    SUBNORMAL = "subnormal"
    EXACT = "exact"
    EXACT_TIES = "exact_ties"
    NEAR_TIES = "near_ties"
    NONFINITE = "nonfinite"
    PERMUTATION = "permutation"
    RELABELLING = "relabelling"
    SPLIT = "split"
    DUPLICATE = "duplicate"
    SCALED_W2 = "scaled_w2"
    SHRINKING = "shrinking"
    LENGTHS = "lengths"
    SKEWED = "skewed"
    SEVERAL_LAYERS = "several_layers"
    REPEAT = "repeat"
    STRIDED = "strided"
    MISALIGNED = "misaligned"


#: What each check asks, one line each: the table `moe-validation check` prints.
QUESTIONS: Final[dict[Check, str]] = {
    Check.RANDOM: "random layers and tokens: edge dimensions, skewed routing, no tokens, one token, many tokens",
    Check.SCALE: "inputs and weights scaled by powers of ten, tokens by 0 or their own, rows of weights by powers of 2",
    Check.ROUTER: "a router so sharp that softmax saturates, or so flat that weights are equal, or logits far below 0",
    Check.FAINT: "experts of little weight and large output: no weight is too small to count",
    Check.CONSTANT_SIGN: "sums whose terms have one sign, or are all equal: rounding errors may all agree",
    Check.SUBNORMAL: "subnormal numbers among inputs and weights",
    Check.EXACT: "small integers: no step rounds, so equality is bitwise",
    Check.EXACT_TIES: "router logits that tie exactly",
    Check.NEAR_TIES: "router logits that differ in their last bits",
    Check.NONFINITE: "NaN and infinity in some tokens: theirs stay, all others are as without",
    Check.PERMUTATION: "permuted tokens: permuted answers",
    Check.RELABELLING: "relabelled experts: the same answers",
    Check.SPLIT: "a batch in pieces: the same answers",
    Check.DUPLICATE: "a token many times over: the same answer each time",
    Check.SCALED_W2: "w2 doubled: answers doubled",
    Check.SHRINKING: "many tokens, then few, then one: nothing of the larger batch is left over",
    Check.LENGTHS: "every number of tokens from one to 80, and every 13th beyond: tails of every tile",
    Check.SKEWED: "as many tokens again, all of one expert: no room is what an earlier call needed",
    Check.SEVERAL_LAYERS: "layers of other weights prepared between two calls: none answers for another",
    Check.REPEAT: "the same input again and again: the same bits",
    Check.STRIDED: "x with gaps between its rows or its features, or transposed: right or refused",
    Check.MISALIGNED: "x at an odd address: right or refused",
}

#: The modifiers a check takes, as a pattern of the whole modifier; "" is none.
MODIFIERS: Final[dict[Check, str]] = {
    Check.SCALE: r"x-?\d+w-?\d+|tokens|weights|zeros",
    Check.ROUTER: r"-?\d+|sunk",
    Check.CONSTANT_SIGN: r"positive|equal",
    Check.STRIDED: r"rows|transposed|features",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerVariant:
    """The options of a layer that a candidate may or may not compute, as LayerConfig has them."""

    activation: str = "relu"
    gated: bool = False
    bias: bool = False
    router_bias: bool = False
    renormalize: bool = True
    router: str = "softmax"
    correction_bias: bool = False
    n_groups: int = 1
    top_groups: int = 1
    routed_scaling: float = 1.0
    shared_d_ff: int = 0
    float32_router: bool = False

    @classmethod
    def from_config(cls, config: LayerConfig) -> Self:
        """Returns the options of a config."""
        return cls(**{option.name: getattr(config, option.name) for option in fields(cls)})

    def of(self, config: LayerConfig) -> LayerConfig:
        """Returns the config with these options, less those that exclude each other or its numbers of experts."""
        options = asdict(self)
        sigmoid = self.router == "sigmoid"
        open_experts = config.n_experts // self.n_groups * self.top_groups
        if not sigmoid or config.n_experts % self.n_groups or config.top_k > open_experts:
            options |= {"n_groups": 1, "top_groups": 1}
        options["correction_bias"] = self.correction_bias and sigmoid
        options["renormalize"] = self.renormalize or self.router == "topk_softmax"
        return replace(config, **options)


#: The layer of the published claims.
PLAIN: Final = LayerVariant()

#: Everything a layer can be asked for, one option or pair of options at a time.
ALL_VARIANTS: Final = (
    PLAIN,
    LayerVariant(activation="silu", gated=True),
    LayerVariant(activation="gelu", bias=True, router_bias=True),
    LayerVariant(bias=True, router_bias=True),
    LayerVariant(activation="gelu_tanh", gated=True, bias=True),
    LayerVariant(renormalize=False),
    LayerVariant(activation="silu", bias=True, router_bias=True, renormalize=False),
    LayerVariant(activation="gelu_tanh"),
    LayerVariant(activation="relu", gated=True),
    LayerVariant(activation="gelu", gated=True, renormalize=False),
    LayerVariant(router="topk_softmax", router_bias=True, routed_scaling=2.5),
    LayerVariant(activation="silu", gated=True, router="sigmoid", correction_bias=True, shared_d_ff=40),
    LayerVariant(router="sigmoid", n_groups=8, top_groups=3, routed_scaling=2.5, float32_router=True),
    LayerVariant(router="sigmoid", renormalize=False, shared_d_ff=17, bias=True),
)


#: Those of them that the published interface has: its router, and no shared expert.
PUBLISHED_VARIANTS: Final = tuple(one for one in ALL_VARIANTS if one.router == "softmax" and not one.shared_d_ff)


#: Widths that every kernel must take are multiples of it: rows of 32 bytes even in 16-bit dtypes, what vector and
#: tensor units load.
TILE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSpec:
    """One case: the check, its modifier, and the layer and tokens it is asked on."""

    check: Check
    workload: Workload
    modifier: str = ""

    @property
    def id(self) -> str:
        """The case as one word, from which `find_case` makes it again."""
        modifier = f".{self.modifier}" if self.modifier else ""
        return f"{self.check}{modifier}:{shape_string(self.workload)}"


def in_tiles(spec: CaseSpec) -> CaseSpec | None:
    """Returns the case with its widths filled up to whole tiles; None where they are whole, or there are no tokens."""
    config = spec.workload.layer
    widths = {name: -(-getattr(config, name) // TILE) * TILE for name in ("d_model", "d_ff", "shared_d_ff")}
    whole = replace(config, **widths)
    if whole == config or spec.workload.tokens == 0:
        return None
    return replace(spec, workload=replace(spec.workload, layer=whole))


def find_case(case_id: str) -> CaseSpec:
    """Returns the case an id spells, whether or not the suite plans it.

    Raises:
        UsageError: the id is not `check[.modifier]:shape` with a known check, a modifier it takes, and a shape.
    """
    head, colon, shape = case_id.partition(":")
    name, _, modifier = head.partition(".")
    if not colon:
        raise UsageError(f"a case is spelt CHECK:SHAPE, as in random:17x255x511-E8-k2-float32; got {case_id!r}")
    if name not in set(Check):
        raise unknown_name("check", name, list(Check))
    check = Check(name)
    pattern = MODIFIERS.get(check, "")
    if re.fullmatch(pattern, modifier) is None:
        wanted = f"one that matches {pattern}" if pattern else "no modifier"
        raise UsageError(f"the check {check} takes {wanted}; got {modifier!r}")
    workload = parse_shape(shape)
    config = workload.layer
    if check is Check.EXACT and (
        config != PLAIN.of(config) or config.top_k not in {1, 2, 4} or config.n_experts > config.d_model
    ):
        rule = "the plain relu layer, top_k 1, 2 or 4 and no more experts than d_model"
        raise UsageError(f"the check {check} needs {rule}; got {shape}")
    return CaseSpec(check=check, workload=workload, modifier=modifier)
