"""The built kernel, and a small layer and its tokens, for every test of this folder."""

import pytest
import torch

from tests.implementations.kernels import CONFIG
from tests.kernels.fixtures import built, prepare
from validation.workloads.inputs import draw_tokens, make_layer
from validation.workloads.layer import Layer

__all__ = ["built", "prepare"]


@pytest.fixture(scope="module")
def layer() -> Layer:
    return make_layer(CONFIG)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return draw_tokens(CONFIG, 16)
