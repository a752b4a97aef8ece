from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.correctness.kernels import forward, small_layer
from validation.correctness.compare import compare
from validation.correctness.expected import Expected, expect
from validation.correctness.legality import MAX_SETS
from validation.workloads.layer import Layer, LayerConfig


def two_way_layer(gap: float) -> tuple[Layer, torch.Tensor]:
    """Three experts, top-1, one token whose logits are 1, 1 - gap and -4; experts 0 and 1 answer differently."""
    config = LayerConfig(d_model=16, d_ff=16, n_experts=3, top_k=1)
    x = torch.zeros(1, 16)
    x[0, 0] = 1.0
    router = torch.zeros(16, 3)
    router[0] = torch.tensor([1.0, 1.0 - gap, -4.0])
    w1 = torch.ones(3, 16, 16)
    w2 = torch.stack([torch.full((16, 16), value) for value in (1.0, -2.0, 3.0)])
    return Layer(config=config, router_weight=router, w1=w1, w2=w2), x


def answer_of(layer: Layer, x: torch.Tensor, expert: int) -> torch.Tensor:
    return torch.relu(x @ layer.w1[expert]) @ layer.w2[expert]


@pytest.mark.parametrize("expert", [0, 1])
@pytest.mark.parametrize("told", [True, False])
def test_inside_the_margin_either_choice_is_legal(expert: int, told: bool) -> None:  # noqa: FBT001
    layer, x = two_way_layer(gap=2.0**-23)
    ids = torch.tensor([[expert]]) if told else None
    found = compare(expect(layer, x), answer_of(layer, x, expert), ids)
    assert found.passed, found.message
    assert found.near_ties == 1


def test_outside_the_margin_the_other_choice_is_rejected_when_it_is_told() -> None:
    layer, x = two_way_layer(gap=1e-3)
    found = compare(expect(layer, x), answer_of(layer, x, 1), torch.tensor([[1]]))
    assert "routing: token 0: experts must be [0]" in found.message


def test_outside_the_margin_the_other_choice_is_rejected_by_its_output() -> None:
    layer, x = two_way_layer(gap=1e-3)
    assert "elementwise" in compare(expect(layer, x), answer_of(layer, x, 1)).message


def test_inside_the_margin_a_third_choice_is_rejected() -> None:
    layer, x = two_way_layer(gap=2.0**-23)
    assert not compare(expect(layer, x), answer_of(layer, x, 2)).passed


@pytest.mark.parametrize("expert", [0, 1])
def test_a_near_tie_excuses_no_error(expert: int) -> None:
    layer, x = two_way_layer(gap=2.0**-23)
    # Sixteen elements that are each within their bound, and all off to one side.
    found = compare(expect(layer, x), answer_of(layer, x, expert) * (1 + 2.0**-13))
    assert not found.passed
    assert found.near_ties == 1


def test_the_output_must_belong_to_the_routing_told() -> None:
    layer, x = two_way_layer(gap=2.0**-23)
    assert not compare(expect(layer, x), answer_of(layer, x, 0), torch.tensor([[1]])).passed


def test_an_exact_tie_goes_to_the_lowest_id_where_that_is_promised() -> None:
    layer, x = two_way_layer(gap=0.0)
    expected = expect(layer, x, exact_routing=True)
    assert compare(expected, answer_of(layer, x, 1), torch.tensor([[1]])).passed
    assert not compare(expected, answer_of(layer, x, 1), torch.tensor([[1]]), lowest_id_wins=True).passed
    assert not compare(expected, answer_of(layer, x, 1), lowest_id_wins=True).passed
    assert compare(expected, answer_of(layer, x, 0), torch.tensor([[0]]), lowest_id_wins=True).passed


@pytest.mark.parametrize("ids", [[0, 0], [0, 4], [-1, 0]])
def test_ids_must_be_distinct_and_in_range(ids: list[int]) -> None:
    layer, x = small_layer()
    told = torch.tensor(ids).expand(len(x), 2)
    assert "distinct and in [0, 4)" in compare(expect(layer, x), forward(layer, x), told).message


def test_weights_told_must_be_those_of_the_experts_told() -> None:
    layer, x = small_layer()
    expected = expect(layer, x)
    ids = torch.from_numpy(expected.router.choice)
    weights = torch.full(tuple(ids.shape), 0.5)
    assert "weights: token 0" in compare(expected, forward(layer, x), ids, weights).message


def test_a_token_with_too_many_legal_routings_is_unresolved_and_the_case_mistrusted() -> None:
    layer, x = small_layer(tokens=4, n_experts=12, top_k=6)
    flat = replace(layer, router_weight=torch.zeros_like(layer.router_weight))
    expected = expect(flat, x)
    found = compare(expected, torch.from_numpy(expected.answers.output).float())
    assert MAX_SETS < 924
    assert found.unresolved == 4
    assert found.mistrusted


def test_an_unresolved_token_is_judged_by_the_routing_it_tells() -> None:
    layer, x = small_layer(tokens=4, n_experts=12, top_k=6)
    flat = replace(layer, router_weight=torch.zeros_like(layer.router_weight))
    expected = expect(flat, x)
    ids = torch.arange(11, 5, -1).expand(4, 6)
    out = sum((answer_of(flat, x, e) for e in range(6, 12)), torch.zeros_like(x)) / 6
    assert compare(expected, out, ids).passed
    assert not compare(expected, out * 1.01, ids).passed


def test_probabilities_that_underflow_may_be_ordered_at_will() -> None:
    layer, x = two_way_layer(gap=1e-3)
    sharp = replace(
        layer,
        config=replace(layer.config, top_k=2),
        router_weight=torch.zeros(16, 3).index_put_((torch.tensor(0),), torch.tensor([300.0, 20.0, 10.0])),
    )
    expected = expect(sharp, x)
    for second in (1, 2):
        assert compare(expected, answer_of(sharp, x, 0), torch.tensor([[0, second]])).passed


def test_rows_of_a_bank_are_answered_as_if_the_oracle_had_been_asked() -> None:
    layer, x = small_layer(dtype="bfloat16", n_experts=16)
    index = np.array([3, 3, 20, 0, 11])
    gathered, asked = expect(layer, x).rows(index), expect(layer, x[torch.from_numpy(index)])
    same_answers(gathered, asked)


def same_answers(one: Expected, other: Expected) -> None:
    np.testing.assert_allclose(one.answers.output, other.answers.output, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(one.answers.bound, other.answers.bound, rtol=1e-9)
    np.testing.assert_array_equal(one.router.ambiguous, other.router.ambiguous)
    assert {row: found.sets for row, found in one.choices.items()} == {r: f.sets for r, f in other.choices.items()}
