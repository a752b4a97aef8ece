from dataclasses import replace

import numpy as np
import pytest

from validation.workloads.inputs import TokenBank, make_layer
from validation.workloads.registry import find
from validation.workloads.shape import parse_shape
from validation.workloads.workload import Routing


def test_one_token_touches_its_k_experts() -> None:
    assert find("qwen3-t1").experts_touched == pytest.approx(8)


def test_many_tokens_touch_every_expert_once() -> None:
    workload = find("seed-small")
    activations = 2 * workload.tokens * workload.layer.d_model * 4
    assert workload.min_bytes == pytest.approx(workload.weight_bytes + activations)


def test_a_skewed_batch_is_only_sure_to_touch_k_experts() -> None:
    assert replace(find("decode-32"), routing=Routing.ZIPF).experts_touched == 2


def test_no_token_moves_nothing() -> None:
    assert parse_shape("0x16x16-E4-k2").min_bytes == 0


def test_half_the_bits_are_half_the_bytes() -> None:
    wide, narrow = parse_shape("64x32x48-E4-k2-float32"), parse_shape("64x32x48-E4-k2-bfloat16")
    assert wide.min_bytes == 2 * narrow.min_bytes


@pytest.mark.parametrize("shape", ["8x64x8-E16-k2", "32x256x8-E128-k8"])
def test_drawn_batches_touch_as_many_experts_as_the_floor_counts(shape: str) -> None:
    workload = parse_shape(shape)
    router, bank = make_layer(workload.layer).router_weight, TokenBank.draw(workload)
    touched = []
    for call in range(200):
        logits = bank.gather(bank.rows(call=call)) @ router
        touched.append(len(np.unique(logits.topk(workload.layer.top_k).indices)))
    assert np.mean(touched) == pytest.approx(workload.experts_touched, rel=0.03)
