"""Cases that are asked of one kernel after the other, answered by the oracle once: half the time of asking them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from validation.correctness import question, suite, survey
from validation.stages import examine

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Kernels in workers get copies, so that none can spoil what the next is asked.
_ask = cache(question.ask)


@pytest.fixture(scope="module")
def answered_once() -> Iterator[None]:
    """For the tests of a module, which must run their kernels in workers."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (suite, survey, examine):
            patch.setattr(module, "ask", _ask)
        yield
