from itertools import combinations

import pytest

from validation.correctness.option import OPTIONS, combined, find_options, options_beside, without
from validation.correctness.spec import PLAIN, LayerVariant
from validation.usage import UsageError
from validation.workloads.layer import LayerConfig

EVERYTHING = frozenset({"activation", "gated", "bias", "router_bias", "renormalize"})
GATED = LayerVariant(activation="silu", gated=True)


def test_every_option_asks_for_a_layer_that_can_be() -> None:
    config = LayerConfig(d_model=16, d_ff=16, n_experts=4, top_k=2)
    assert all(option.of(PLAIN).of(config) for option in OPTIONS)


def test_what_the_base_has_anyway_is_no_option() -> None:
    names = {option.name for option in options_beside(GATED, "bfloat16")}
    assert {"silu", "gated", "bfloat16"} & names == set()
    assert {"relu", "float32", "bias", "raw"} <= names


def test_any_two_options_meet_in_some_variant() -> None:
    offered = [option for option in options_beside(PLAIN, "float32") if option.changes]
    variants = combined(PLAIN, offered, EVERYTHING)
    for one, other in combinations(offered, 2):
        both = other.of(one.of(PLAIN))
        changed = {**dict(one.changes), **dict(other.changes)}
        if one.of(both) == both and other.of(both) == both:
            assert any(all(getattr(v, f) == value for f, value in changed.items()) for v in variants), (one, other)


def test_the_base_comes_first_and_nothing_comes_twice() -> None:
    variants = combined(GATED, options_beside(GATED, "float32"), EVERYTHING)
    assert variants[0] == GATED
    assert len(set(variants)) == len(variants)


def test_a_kernel_that_never_looks_at_the_activation_is_asked_gates_with_silu_alone() -> None:
    gate = find_options(["gated"], PLAIN, "float32")
    assert {v.activation for v in combined(PLAIN, gate, frozenset({"w_gate"})) if v.gated} == {"silu"}
    assert {v.activation for v in combined(PLAIN, gate, EVERYTHING) if v.gated} == {"silu", "relu"}


def test_without_a_look_at_b1_or_b2_the_bias_is_not_there() -> None:
    variant = LayerVariant(bias=True, renormalize=False)
    assert without(variant, PLAIN, frozenset({"renormalize"})) == LayerVariant(renormalize=False)
    assert without(variant, PLAIN, frozenset({"b2", "renormalize"})) == variant


def test_all_is_every_option_and_a_wrong_name_is_the_users_mistake() -> None:
    assert find_options(["all"], PLAIN, "float32") == options_beside(PLAIN, "float32")
    with pytest.raises(UsageError, match=r"no option is named 'gate'. Did you mean gated"):
        find_options(["gate"], PLAIN, "float32")
