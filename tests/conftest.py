"""What holds for every test."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings
from threadpoolctl import threadpool_limits

from tests.answered import answered_once

__all__ = ["answered_once"]

# A deadline would be a timed assert; the blob lets a failure of one machine run again on another.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")

# Two test processes on two cores, each beside a worker with threads of its own: more threads here only spin. With two
# in each the oracle took up to seven times as long. A worker is told its number of threads.
threadpool_limits(1)
torch.set_num_threads(1)

#: Loading a Mojo extension sets these behind Python's back, for all processes started later: with PYTHONEXECUTABLE the
#: virtual environment's python no longer finds its own packages. Workers are processes of their own; tests are not.
_SET_BY_MOJO = ("PYTHONEXECUTABLE", "PYTHONPATH", "MOJO_PYTHON_LIBRARY")


@pytest.fixture(autouse=True)
def _no_variables_of_mojo() -> Iterator[None]:
    _unset_unless_python_knows()
    yield
    _unset_unless_python_knows()


def _unset_unless_python_knows() -> None:
    for name in _SET_BY_MOJO:
        if name not in os.environ:
            os.unsetenv(name)
