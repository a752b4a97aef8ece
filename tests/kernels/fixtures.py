"""The kernel, built once for this machine and loaded as the worker loads it: by path. Fixtures of two folders."""

from __future__ import annotations

import pytest

from tests.kernels.loading import Prepare, load_prepare
from validation.implementations.mojo_build import BuiltKernel, build_kernel


@pytest.fixture(scope="session")
def built() -> BuiltKernel:
    result = build_kernel()
    assert isinstance(result, BuiltKernel), str(result)
    return result


@pytest.fixture(scope="session")
def prepare(built: BuiltKernel) -> Prepare:
    return load_prepare(built.library)
