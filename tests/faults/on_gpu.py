"""The planted faults, computed on a GPU: `python -m tests.faults.on_gpu OUT.json` records which check caught each."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from validation.correctness.case import Outcome
from validation.correctness.planted_faults import FAULTS, FOLDER
from validation.correctness.runner import in_process
from validation.correctness.suite import Candidate, check_all, plan_cases

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.workloads.layer import Layer


def on_gpu(prepare: Callable[..., Any]) -> Callable[[Layer], Callable[[torch.Tensor], Any]]:
    """A kernel's `prepare` on a copy of the layer on the GPU; its forward takes and returns tensors of the host."""

    def there(value: Any) -> Any:
        return value.cuda() if isinstance(value, torch.Tensor) else value

    def host(value: Any) -> Any:
        return tuple(host(one) for one in value) if isinstance(value, tuple) else getattr(value, "cpu", lambda: None)()

    def prepared(layer: Layer) -> Callable[[torch.Tensor], Any]:
        tensors = {field.name: there(getattr(layer, field.name)) for field in fields(layer)}
        with torch.device("cuda"):
            forward = prepare(replace(layer, **tensors))

        def call(x: torch.Tensor) -> Any:
            moved = x.cuda()
            with torch.device("cuda"):
                result = forward(moved)
            x.copy_(moved)
            return host(result)

        return call

    return prepared


def messages(name: str) -> list[str]:
    """What the check that ought to catch a fault says of it on the GPU."""
    fault = FAULTS[name]
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location(f"fault_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    specs = [
        spec
        for spec in plan_cases("standard", fault.dtype, variants=(fault.variant,))
        if spec.check is fault.check and spec.workload.layer == fault.variant.of(spec.workload.layer)
    ]
    candidate = Candidate(name=name, lowest_id_wins=fault.lowest_id_wins, required=fault.variant, strict=True)
    found = check_all(specs, in_process(on_gpu(module.prepare), fills=False), candidate)
    return [case.message for case in found if case.outcome is Outcome.FAILED]


def main() -> int:
    """Writes what was said of every fault, anew after each; 1 when one was not caught as it ought to be."""
    torch.set_grad_enabled(False)
    said: dict[str, list[str]] = {}
    missed: list[str] = []
    for name, fault in FAULTS.items():
        said[name] = messages(name)
        missed += [] if any(fault.by in message for message in said[name]) else [name]
        record = {"caught": len(said) - len(missed), "of": len(said), "missed": missed, "said": said}
        Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n")
        sys.stdout.write(f"{record['caught']} of {record['of']} of {len(FAULTS)} faults caught; missed: {missed}\n")
        sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
