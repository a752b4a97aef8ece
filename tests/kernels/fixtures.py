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


@pytest.fixture(scope="session")
def prepare_avx2() -> Prepare:
    built = build_kernel(target_cpu="x86-64-v3")
    assert isinstance(built, BuiltKernel), str(built)
    return load_prepare(built.library)
