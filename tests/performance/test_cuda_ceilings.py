"""A GPU's ceilings, with a clock that the tests hold."""

from collections.abc import Callable, Iterator
from typing import Any

from validation.performance.ceiling import Resource
from validation.performance.cuda_ceilings import _Question, ceilings_of


def _question(work: int) -> _Question:
    return _Question(resource=Resource.COMPUTE, dtype="bfloat16", unit="flop/s", work=work, method="a", run=lambda: 0)


def _clock(*seconds: float) -> Callable[[Callable[[], Any]], float]:
    times: Iterator[float] = iter(seconds)

    def take(run: Callable[[], Any]) -> float:
        run()
        return next(times)

    return take


def test_a_ceiling_is_the_best_of_its_rounds_and_keeps_all() -> None:
    (found,) = ceilings_of([_question(100)], 132, _clock(2.0, 1.0, 4.0), rounds=3)
    assert (found.value, found.samples) == (100, (50, 100, 25))


def test_rounds_go_round_all_ceilings() -> None:
    first, second = ceilings_of([_question(10), _question(100)], 132, _clock(1.0, 1.0, 2.0, 2.0), rounds=2)
    assert (first.samples, second.samples) == ((10, 5), (100, 50))


def test_a_ceiling_says_which_device_and_how_many_multiprocessors_it_is_of() -> None:
    (found,) = ceilings_of([_question(1)], 132, _clock(1.0), rounds=1)
    assert (found.device, found.threads) == ("cuda", 132)
