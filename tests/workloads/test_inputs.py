from dataclasses import replace

import numpy as np
import pytest
import torch

from validation.workloads.inputs import TokenBank, bank_rows, draw_tokens, make_layer
from validation.workloads.layer import LayerConfig
from validation.workloads.registry import find
from validation.workloads.workload import Routing

CONFIG = LayerConfig(d_model=64, d_ff=96, n_experts=8, top_k=2, gated=True, bias=True, router_bias=True)
TENSORS = ("router_weight", "router_bias", "w1", "b1", "w2", "b2", "w_gate")


def chosen(routing: Routing, count: int = 4096) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """How often each expert is chosen."""
    config = replace(CONFIG, router_bias=False)
    logits = draw_tokens(config, count, routing=routing) @ make_layer(config).router_weight
    return np.bincount(logits.topk(config.top_k).indices.flatten().numpy(), minlength=config.n_experts)


def test_a_layer_is_the_same_each_time_whatever_torch_drew_before() -> None:
    first = make_layer(CONFIG)
    torch.rand(3)
    second = make_layer(CONFIG)
    assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in TENSORS)


def test_values_are_pinned() -> None:
    layer, tokens = make_layer(CONFIG), draw_tokens(CONFIG, 2)
    assert layer.w1[0, 0, :2].tolist() == pytest.approx([0.1019291, 0.09702034], rel=1e-6)
    assert tokens[0, :2].tolist() == pytest.approx([-1.014633, 0.1751986], rel=1e-6)


@pytest.mark.parametrize("name", TENSORS)
def test_another_seed_is_another_layer(name: str) -> None:
    assert not torch.equal(getattr(make_layer(CONFIG, 0), name), getattr(make_layer(CONFIG, 1), name))


def test_every_expert_has_weights_of_its_own() -> None:
    w1 = make_layer(CONFIG).w1
    assert len({tuple(expert.flatten()[:4].tolist()) for expert in w1}) == CONFIG.n_experts


def test_the_bfloat16_layer_is_the_float32_one_rounded() -> None:
    narrow = make_layer(replace(CONFIG, dtype="bfloat16"))
    assert torch.equal(narrow.w2, make_layer(CONFIG).w2.bfloat16())


def test_activations_are_of_order_one() -> None:
    layer, x = make_layer(CONFIG), draw_tokens(CONFIG, 512)
    hidden = torch.relu(x @ layer.w1[0])
    assert 0.5 < hidden.std() < 2
    assert 0.3 < (hidden @ layer.w2[0]).std() < 2


def test_uniform_routing_favours_no_expert() -> None:
    counts = chosen(Routing.UNIFORM)
    assert counts.max() < 1.35 * counts.min()


def test_all_to_one_sends_every_token_to_expert_0() -> None:
    assert chosen(Routing.ALL_TO_ONE)[0] > 0.99 * 4096 > chosen(Routing.UNIFORM)[0]


def test_zipf_asks_for_experts_in_the_order_of_their_ids() -> None:
    counts = chosen(Routing.ZIPF)
    assert (np.diff(counts) < 0).all()
    assert counts[0] > 3 * counts[-1]


def test_a_bank_is_the_same_each_time_it_is_drawn() -> None:
    workload = find("seed-quick")
    assert torch.equal(TokenBank.draw(workload).tokens, TokenBank.draw(workload).tokens)


def test_rows_depend_on_process_and_call_and_on_nothing_else() -> None:
    bank = TokenBank.draw(find("seed-quick"))
    keys = [(0, "candidate", 0), (1, "candidate", 0), (0, "baselines", 0), (0, "candidate", 1)]
    drawn = [tuple(bank.rows(number, role, call=call)) for number, role, call in keys]
    assert len(set(drawn)) == len(keys)
    assert drawn[0] == tuple(bank.rows(0, "candidate", call=0))


def test_no_row_occurs_twice_in_a_batch() -> None:
    bank = TokenBank.draw(find("seed-claim"))
    assert all(len(set(bank.rows(call=call))) == 1024 for call in range(5))


def test_single_tokens_do_not_recur_within_a_thousand_calls() -> None:
    bank = TokenBank.draw(find("seed-claim-t1"))
    assert len({int(bank.rows(call=call)[0]) for call in range(1024)}) == 1024


def test_a_batch_is_the_rows_of_the_bank_in_new_memory() -> None:
    bank = TokenBank.draw(find("seed-claim-t8"))
    rows = bank.rows(call=3)
    batch = bank.gather(rows)
    assert torch.equal(batch, bank.tokens[torch.from_numpy(rows)])
    assert batch.data_ptr() != bank.gather(rows).data_ptr()


@pytest.mark.parametrize(("tokens", "rows"), [(0, 1024), (1, 1024), (1024, 2048), (16384, 18432)])
def test_a_bank_is_large_enough_and_not_larger(tokens: int, rows: int) -> None:
    assert bank_rows(tokens) == rows
