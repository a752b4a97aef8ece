"""When the clocks of parent, worker and GPU fit each other, and when they do not."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest
import torch

from validation.implementations.answer import BlockOutput, Output
from validation.implementations.clock import Price, measure_price
from validation.implementations.manner import USUAL, Manner

#: A GPU block: 10 us lie between events and host around a kernel that does nothing.
_GPU: Final = Price(block_ns=200_000, call_ns=50_000, gap_ns=10_000)


def test_a_gpu_call_that_the_host_saw_end_a_little_later_fits() -> None:
    assert _GPU.agrees((40_000,) * 8, 8 * 100_000, (50_000,) * 8)


def test_a_gpu_call_that_the_host_saw_end_much_later_does_not_fit() -> None:
    assert not _GPU.agrees((5_000,) * 8, 8 * 100_000, (50_000,) * 8)


def test_a_gpu_call_longer_by_events_than_by_the_host_does_not_fit() -> None:
    assert not _GPU.agrees((80_000,) * 8, 8 * 100_000, (50_000,) * 8)


def test_one_disturbed_call_of_a_block_does_not_matter() -> None:
    assert _GPU.agrees((40_000,) * 8, 2_000_000, (50_000,) * 7 + (600_000,))


def test_a_parent_that_waited_longer_than_all_is_explained_does_not_fit() -> None:
    assert not _GPU.agrees((40_000,) * 8, 20_000_000, (50_000,) * 8)


@pytest.mark.parametrize(("calls_ns", "parent_ns"), [((10_000_000,), 10_100_000), ((0,), 900_000)])
def test_on_the_cpu_the_two_clocks_are_compared(calls_ns: tuple[int, ...], parent_ns: int) -> None:
    price = Price(block_ns=100_000, call_ns=10_000)
    assert price.agrees(calls_ns, parent_ns)
    assert not price.agrees(calls_ns, parent_ns + 5_000_000)


def test_on_the_cpu_a_time_above_the_parents_does_not_fit() -> None:
    assert not Price(block_ns=0, call_ns=0).agrees((10_000,), 9_000)


class Waiter:
    """A worker without a kernel: a queued call waits 100 us behind other work, any other 10 us."""

    def call_block(self, inputs: Sequence[torch.Tensor], manner: Manner = USUAL) -> BlockOutput:
        assert manner.dry
        host_ns = 110_000 if manner.queued else 10_000
        outputs = tuple(
            Output(out=x, ids=None, weights=None, worker_ns=5_000, host_ns=host_ns, written=True, x_unchanged=True)
            for x in inputs
        )
        parent_ns = 200_000 + host_ns * len(inputs)
        return BlockOutput(outputs=outputs, parent_ns=parent_ns, guards_held=True, ends_ns=(0,) * len(inputs))


def test_a_call_that_queues_behind_nothing_may_not_hide_what_a_queued_one_waits() -> None:
    hidden = ((5_000,) * 8, 1_000_000, (60_000,) * 8)

    assert not measure_price(Waiter(), torch.zeros(1)).agrees(*hidden)
    assert measure_price(Waiter(), torch.zeros(1), queued=True).agrees(*hidden)


class Busy:
    """A worker on a busy host: a call without a kernel costs 80 us, a block 600 us and up to 300 more."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def call_block(self, inputs: Sequence[torch.Tensor], manner: Manner = USUAL) -> BlockOutput:
        assert manner.dry
        assert not manner.queued
        outputs = tuple(
            Output(out=x, ids=None, weights=None, worker_ns=5_000, host_ns=5_000, written=True, x_unchanged=True)
            for x in inputs
        )
        parent_ns = 600_000 + 85_000 * len(inputs) + self._random.randrange(300_000)
        return BlockOutput(outputs=outputs, parent_ns=parent_ns, guards_held=True, ends_ns=(0,) * len(inputs))


def test_noise_of_the_dry_blocks_does_not_make_clocks_disagree() -> None:
    calls_ns = (70_000,) * 256
    honest, hidden = (sum(calls_ns) + 600_000 + cost_ns * 256 for cost_ns in (100_000, 300_000))
    prices = [measure_price(Busy(seed), torch.zeros(1, 256)) for seed in range(200)]
    assert all(price.agrees(calls_ns, honest) for price in prices)
    assert not any(price.agrees(calls_ns, hidden) for price in prices)


def test_the_price_of_large_batches_is_of_few_calls() -> None:
    asked: list[int] = []

    class Counting(Busy):
        def call_block(self, inputs: Sequence[torch.Tensor], manner: Manner = USUAL) -> BlockOutput:
            asked.append(len(inputs))
            return super().call_block(inputs, manner)

    measure_price(Counting(0), torch.zeros(4096, 256))
    measure_price(Counting(0), torch.zeros(1, 256))
    assert sorted(set(asked)) == [1, 4, 32]


def timed(call_ns: int, beside_ns: int, calls: int = 8) -> BlockOutput:
    """A block by the parent's clock: its calls as they are told, and what passed beside them."""
    outputs = tuple(
        Output(out=torch.zeros(1), ids=None, weights=None, worker_ns=call_ns, written=True, x_unchanged=True)
        for _call in range(calls)
    )
    return BlockOutput(outputs=outputs, parent_ns=call_ns * calls + beside_ns, guards_held=True)


#: Of a batch of 1 MB as measured: 0.7 ms a block and 0.3 ms a call.
_LARGE: Final = Price(block_ns=700_000, call_ns=300_000)


def test_a_clock_that_leaves_out_a_tenth_is_found_by_several_blocks() -> None:
    true_ns, price_ns = 6_500_000, _LARGE.of(8)
    for seed in range(200):
        chance = random.Random(seed)
        # A busy host: the price a fifth up or down, and 5 ms lost in every third block.
        beside = [round(price_ns * chance.uniform(0.8, 1.4)) + 5_000_000 * (chance.random() < 1 / 3) for _ in range(16)]
        assert not _LARGE.hides([timed(true_ns, ns) for ns in beside])
        told_ns = true_ns * 9 // 10
        slow = [timed(told_ns, ns + 8 * (true_ns - told_ns)) for ns in beside]
        assert _LARGE.hides(slow)
        assert all(_LARGE.agrees(block.calls_ns, block.parent_ns) for block in slow if block.parent_ns < 57_000_000)


def test_of_few_blocks_and_of_blocks_of_few_calls_nothing_is_hidden() -> None:
    slow = timed(5_000_000, 20_000_000)
    assert _LARGE.hides([slow] * 4)
    assert not _LARGE.hides([slow] * 3)
    assert not _LARGE.hides([*[timed(5_000_000, 20_000_000, calls=1)] * 20, *[timed(5_000_000, 2_000_000)] * 4])


def test_a_price_is_asked_for_again_until_it_is_no_accident() -> None:
    class Disturbed(Busy):
        """A host that takes 10 ms out of each of the first blocks."""

        def __init__(self, disturbed: int) -> None:
            super().__init__(0)
            self.asked, self._disturbed = 0, disturbed

        def call_block(self, inputs: Sequence[torch.Tensor], manner: Manner = USUAL) -> BlockOutput:
            made = super().call_block(inputs, manner)
            self.asked += 1
            lost_ns = 10_000_000 * self.asked if self.asked <= self._disturbed else 0
            return replace(made, parent_ns=made.parent_ns + lost_ns)

    calm, disturbed = Disturbed(0), Disturbed(8)
    assert measure_price(calm, torch.zeros(1, 256)).of(1) < 1_100_000
    assert measure_price(disturbed, torch.zeros(1, 256)).of(1) < 1_100_000
    assert calm.asked == 11
    assert disturbed.asked > 11
