"""The built kernel, for every test of this folder."""

from tests.kernels.fixtures import built, prepare

__all__ = ["built", "prepare"]
