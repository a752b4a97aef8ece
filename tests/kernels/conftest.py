"""The built kernel, for every test of this folder."""

from tests.kernels.fixtures import built, prepare, prepare_avx2

__all__ = ["built", "prepare", "prepare_avx2"]
