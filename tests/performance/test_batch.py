"""Unseen batches stand among the others at places nobody can foresee."""

from collections.abc import Iterator
from itertools import count, islice

import pytest
import torch

from validation.performance.batch import Batch, mixed


def batch(value: float, *, unseen: bool = False) -> Batch:
    return Batch(x=torch.full((1, 1), value), right=lambda _out, _ids, _weights: True, unseen=unseen)


def known() -> Iterator[Batch]:
    return (batch(float(number)) for number in count())


@pytest.mark.parametrize(("calls", "share"), [(5, 0.4), (16, 0.125), (1000, 0.125), (1, 1.0)])
def test_the_share_of_unseen_batches_depends_on_the_length_of_the_series(calls: int, share: float) -> None:
    drawn = list(islice(mixed(known(), lambda: batch(-1.0, unseen=True), calls), 4000))
    # Four standard deviations.
    assert abs(sum(one.unseen for one in drawn) / 4000 - share) <= 4 * (share * (1 - share) / 4000) ** 0.5


def test_their_places_are_drawn_anew_each_time() -> None:
    places = {
        tuple(one.unseen for one in islice(mixed(known(), lambda: batch(-1.0, unseen=True), 1000), 64))
        for _series in range(5)
    }
    assert len(places) > 1


def test_no_known_batch_is_lost() -> None:
    drawn = islice(mixed(known(), lambda: batch(-1.0, unseen=True), 5), 100)
    values = [float(one.x) for one in drawn if not one.unseen]
    assert values == [float(number) for number in range(len(values))]


def test_without_a_source_all_are_known() -> None:
    assert not any(one.unseen for one in islice(mixed(known(), None, 1), 50))
