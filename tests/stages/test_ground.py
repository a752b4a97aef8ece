"""What contenders are measured on: batches of the bank, and such as nobody has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from reference import torch_sorted
from validation.stages import ground as stage
from validation.stages.ground import ground
from validation.workloads.inputs import make_layer
from validation.workloads.layer import LayerConfig
from validation.workloads.workload import Routing, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = LayerConfig(d_model=32, d_ff=48, n_experts=4, top_k=2)


def workload(tokens: int, routing: Routing = Routing.UNIFORM) -> Workload:
    return Workload(name="tiny", tokens=tokens, layer=CONFIG, routing=routing, seed=3)


def answer() -> Callable[[torch.Tensor], torch.Tensor]:
    """An honest kernel of that layer."""
    forward = torch_sorted.prepare(make_layer(CONFIG, 3))

    def out_of(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        forward(x, out)
        return out

    return out_of


@pytest.mark.parametrize("tokens", [1, 7, 64])
def test_an_unseen_batch_has_no_token_of_the_bank_nor_of_another(tokens: int) -> None:
    with ground(workload(tokens)) as on:
        drawn = torch.cat([on.bank.tokens, *(on.unseen().x for _batch in range(3))])
        assert len({tuple(row) for row in drawn.tolist()}) == len(on.bank.tokens) + 3 * tokens


def test_its_check_asks_the_oracle() -> None:
    with ground(workload(40)) as on:
        batch = on.unseen()
        assert batch.unseen
        out = answer()(batch.x)
        assert batch.right(out, None, None)
        for row in range(40):
            wrong = out.clone()
            wrong[row] *= 1.01
            assert not batch.right(wrong, None, None), row


def test_of_a_large_batch_some_tokens_are_looked_at_which_nobody_can_foresee(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "_MOST_CHECKED", 5)
    with ground(workload(40)) as on:
        known = {tuple(row) for row in on.bank.tokens.tolist()}
        batch = on.unseen()
        # A memory of the bank's answers saves nothing there.
        assert not any(tuple(row) in known for row in batch.x.tolist())
        wrong = answer()(batch.x)
        wrong[:20] *= 1.01
        # One in two is wrong: five of forty that are all right come once in 42.
        assert not all(batch.right(wrong, None, None) for _ in range(40))
        right = answer()(batch.x)
        right[0] *= 1.01
        passed = [batch.right(right, None, None) for _ in range(200)]
        assert any(passed)
        assert not all(passed)


def test_skewed_tokens_are_skewed_by_the_layers_own_router() -> None:
    with ground(workload(400, Routing.ALL_TO_ONE)) as on:
        logits = on.unseen().x @ make_layer(CONFIG, 3).router_weight
        assert (logits.argmax(-1) == 0).float().mean() > 0.99
