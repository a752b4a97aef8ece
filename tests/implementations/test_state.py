"""What stands in the harness's modules and classes, before a kernel and after."""

from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest
import torch

from tests.implementations.kernels import HONEST, LIMITS, kernel
from validation.implementations.process import Worker
from validation.workloads.layer import Layer

_PATCHES: Final = {
    # Its setter tells less than calls take: no function is another than before.
    "_answer": """
        def tell_less(self, answer):
            if answer:
                answer["calls_ns"] = tuple(int(ns * 0.92) for ns in answer["calls_ns"])
            vars(self)["told"] = answer
        of("block").Block._answer = property(lambda self: vars(self)["told"], tell_less)
    """,
    "__setattr__": "of('block').Block.__setattr__ = lambda self, name, value: vars(self).__setitem__(name, value)",
    "_seen": "of('block')._seen = lambda *_: ((), ())",
    "zip": "of('block').zip = lambda *all, strict: zip(*all)",
    "_LOOKED_AT": "of('block')._LOOKED_AT = 1",
    "name": "of('device').Host.name = 'gpu'",
    "__bases__": """
        Host = of("device").Host
        of("device").Cuda.__bases__ = (type("Other", (Host,), {}),)
    """,
    "first": """
        first = of("block").Block.first.fget
        first.__code__ = (lambda self: (self._places[0]["x"], *self._tensors[0][:2])).__code__
    """,
    "time": "del of('device').Host.time",
}


_OF: Final = """
import sys
def of(name):
    (found,) = [module for called, module in sys.modules.items() if called.endswith("_moe_worker." + name)]
    return found
"""


@pytest.mark.parametrize(("name", "patch"), _PATCHES.items(), ids=_PATCHES)
def test_what_is_new_or_other_in_the_harness_is_seen(
    tmp_path: Path, layer: Layer, x: torch.Tensor, name: str, patch: str
) -> None:
    with Worker(threads=1, limits=LIMITS) as worker:
        assert worker.state()["patched harness"] == "none"
        worker.load(kernel(tmp_path, _OF + dedent(patch) + HONEST))
        if name == "_answer":
            # Nothing else is amiss.
            worker.prepare(layer)
            worker.call(x)
        assert name in worker.state()["patched harness"].split(", ")


def test_a_warning_that_tells_of_its_caller_changes_nothing_of_the_harness(
    tmp_path: Path, layer: Layer, x: torch.Tensor
) -> None:
    warning = "import warnings; warnings.warn('slow', stacklevel=2)"
    with Worker(threads=1, limits=LIMITS) as worker:
        worker.load(kernel(tmp_path, HONEST.replace("out.zero_()", f"{warning}; out.zero_()")))
        worker.prepare(layer)
        worker.call(x)
        assert "device.py" in worker.output
        assert worker.state()["patched harness"] == "none"
