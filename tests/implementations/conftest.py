"""The built kernel, and a small layer and its tokens, for every test of this folder."""

from collections.abc import Iterator

import pytest
import torch

from tests.implementations.kernels import CONFIG, LIMITS
from tests.kernels.fixtures import built, prepare
from validation.implementations.process import Worker
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import Layer

__all__ = ["built", "prepare"]


@pytest.fixture(scope="module")
def layer() -> Layer:
    return make_layer(CONFIG)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return draw_tokens(CONFIG, 16)


@pytest.fixture(scope="module")
def shared_worker() -> Iterator[Worker]:
    """A worker for kernels that fail without taking it along."""
    with Worker(threads=1, limits=LIMITS) as worker:
        yield worker
