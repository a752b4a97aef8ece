import pytest

from validation.usage import UsageError
from validation.workloads.registry import WORKLOADS, find
from validation.workloads.shape import parse_shape, shape_string
from validation.workloads.workload import Workload


@pytest.mark.parametrize(
    ("name", "gflop"),
    [("seed-claim", 2.147), ("seed-small", 549.8), ("seed-serving", 2199.0)],
)
def test_a_published_shape_does_the_work_that_was_published(name: str, gflop: float) -> None:
    assert find(name).flops / 1e9 == pytest.approx(gflop, rel=1e-3)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_every_named_workload_has_a_shape_that_spells_it(workload: Workload) -> None:
    assert parse_shape(shape_string(workload)).layer == workload.layer


def test_an_unknown_name_is_answered_with_the_close_and_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no workload is named 'seed-clam'\. Did you mean seed-claim.*Known: .*demo"):
        find("seed-clam")


def test_a_shape_is_found_where_a_name_is_asked_for() -> None:
    assert find("512x128x512-E4-k2").tokens == 512


def test_swiglu_is_half_as_much_work_again() -> None:
    assert find("qwen3-t32").flops * 2 == find("qwen3-relu-t32").flops * 3
