"""What a layer can be asked for beside the one a kernel is for: a list of options, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import combinations, product
from typing import TYPE_CHECKING, Final

from validation.usage import unknown_name
from validation.workloads.layer import ACTIVATIONS, DTYPE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from validation.correctness.spec import LayerVariant


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One thing of the published interface that a kernel may or may not deal with.

    `changes` are the fields of a LayerVariant it sets; a dtype changes none. `looks` are the fields of the layer or its
    config by which a kernel learns of it: one that never looks at any of them cannot deal with it.
    """

    name: str
    changes: tuple[tuple[str, object], ...] = ()
    dtype: str = ""
    looks: frozenset[str]

    def of(self, base: LayerVariant) -> LayerVariant:
        """Returns `base` with this option."""
        return replace(base, **dict(self.changes))  # type: ignore[arg-type]  # names of fields, with their values


#: The fields by which a kernel learns of a field of LayerVariant, beside the config's field of that name.
_TENSORS: Final = {
    "gated": {"w_gate"},
    "bias": {"b1", "b2"},
    "n_groups": {"top_groups"},
    "top_groups": {"n_groups"},
    "shared_d_ff": {"shared_w1", "shared_w2"},
}


def looks_of(field: str) -> frozenset[str]:
    """Returns the fields of the layer or its config by which a kernel learns of a field of LayerVariant."""
    return frozenset({field} | _TENSORS.get(field, set()))


def _option(name: str, told_by: str, **changes: object) -> Option:
    return Option(name=name, changes=tuple(changes.items()), looks=looks_of(told_by))


#: In the order in which they are told. A gate is asked with silu, as all published models have it.
OPTIONS: Final = (
    *(_option(name, "activation", activation=name) for name in ACTIVATIONS),
    _option("gated", "gated", gated=True, activation="silu"),
    _option("bias", "bias", bias=True),
    _option("router_bias", "router_bias", router_bias=True),
    _option("raw", "renormalize", renormalize=False),
    _option("topk_softmax", "router", router="topk_softmax"),
    _option("sigmoid", "router", router="sigmoid"),
    _option("correction_bias", "correction_bias", router="sigmoid", correction_bias=True),
    _option("groups", "n_groups", router="sigmoid", n_groups=8, top_groups=3),
    _option("scaled", "routed_scaling", routed_scaling=2.5),
    _option("shared", "shared_d_ff", shared_d_ff=48),
    *(Option(name=dtype, dtype=dtype, looks=frozenset({"dtype"})) for dtype in DTYPE_BYTES),
)


#: No options of the layer, but a kernel may say them and is held to them: exact ties go to the lowest expert id; no
#: input is declined, be it empty, strided or of an odd width.
LOWEST_ID_WINS: Final = "lowest_id_wins"
ANY_INPUT: Final = "any_input"
PROMISES: Final = (LOWEST_ID_WINS, ANY_INPUT)


def options_beside(base: LayerVariant, dtype: str) -> tuple[Option, ...]:
    """Returns the options that ask for something else than `base` in `dtype`."""
    return tuple(
        option
        for option in OPTIONS
        if (option.dtype not in {"", dtype} or option.of(base) != base)
        # A gated layer has its activation on the gate's side: another one is an option of its own.
        and not (option.name == "gated" and base.gated)
    )


def find_options(names: Iterable[str], base: LayerVariant, dtype: str) -> tuple[Option, ...]:
    """Returns the options of these names; `all` are all that there are beside `base` in `dtype`.

    Promises are none of them.

    Raises:
        UsageError: a name is no option's.
    """
    known = {option.name: option for option in OPTIONS}
    beside = options_beside(base, dtype)
    wanted: list[Option] = []
    for name in names:
        if name == "all":
            wanted += beside
        elif name not in {*known, *PROMISES}:
            raise unknown_name("option", name, [*known, *PROMISES, "all"])
        else:
            wanted += [option for option in beside if option.name == name]
    return tuple(dict.fromkeys(wanted))


def without(variant: LayerVariant, base: LayerVariant, looks: frozenset[str]) -> LayerVariant:
    """Returns the variant with every field as in `base` that a kernel with these looks never learns of."""
    unseen = {field.name: getattr(base, field.name) for field in fields(variant) if not looks_of(field.name) & looks}
    return replace(variant, **unseen)


def combined(base: LayerVariant, offered: Sequence[Option], looks: frozenset[str]) -> tuple[LayerVariant, ...]:
    """Returns variants in which any two of the offered options meet at least once, `base` first.

    Gated layers come with every activation only for a kernel that looks at the activation; for others it is silu's.
    """
    axes = _axes(base, offered, looks)
    every = [replace(base, **_merged(choice)) for choice in product(*axes)]  # type: ignore[arg-type]
    pairs = {variant: _pairs(choice) for variant, choice in zip(every, _places(axes), strict=True)}
    chosen, missing = [base], set().union(*pairs.values()) - pairs[base]
    while missing:
        best = max(every, key=lambda variant: len(pairs[variant] & missing))
        chosen.append(best)
        missing -= pairs[best]
    return tuple(chosen)


def _axes(base: LayerVariant, offered: Sequence[Option], looks: frozenset[str]) -> list[list[Mapping[str, object]]]:
    """For each thing that can be chosen its choices, the base's first: the activation and the gate are one thing."""
    names = {option.name for option in offered}
    forms: list[Mapping[str, object]] = [{"activation": base.activation, "gated": base.gated}]
    forms += [
        {"activation": name, "gated": base.gated} for name in ACTIVATIONS if name in names and name != base.activation
    ]
    if "gated" in names:
        forms += [
            {"activation": name, "gated": True}
            for name in ACTIVATIONS
            if name == "silu" or ("activation" in looks and (name in names or name == base.activation))
        ]
    routers = [option for option in offered if "router" in dict(option.changes)]
    others = [option for option in offered if option.changes and option.name not in {*ACTIVATIONS, "gated"}]
    return [
        forms,
        _router_choices(base, routers),
        *(_with_and_without(base, option) for option in others if option not in routers),
    ]


def _router_choices(base: LayerVariant, routers: Sequence[Option]) -> list[Mapping[str, object]]:
    """The base's router, every other, and all that a sigmoid router can have at once."""
    plain = {field: getattr(base, field) for option in routers for field, _value in option.changes}
    changed = [{**plain, **dict(option.changes)} for option in routers]
    full = {**plain, **{f: v for option in routers if option.name != "topk_softmax" for f, v in option.changes}}
    choices = [plain, *changed, full]
    return [choice for place, choice in enumerate(choices) if choice not in choices[:place]]


def _with_and_without(base: LayerVariant, option: Option) -> list[Mapping[str, object]]:
    return [{field: getattr(base, field) for field, _value in option.changes}, dict(option.changes)]


def _merged(choice: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {field: value for part in choice for field, value in part.items()}


def _places(axes: Sequence[Sequence[object]]) -> Iterable[tuple[int, ...]]:
    return product(*(range(len(axis)) for axis in axes))


def _pairs(choice: tuple[int, ...]) -> set[tuple[tuple[int, int], ...]]:
    """What a variant shows: each of its choices, and any two together."""
    made = list(enumerate(choice))
    return {*combinations(made, 1), *combinations(made, 2)}
