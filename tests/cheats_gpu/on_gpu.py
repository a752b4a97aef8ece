"""Which gates a cheat fails on a GPU: `python -m tests.cheats_gpu.on_gpu OUT.json` records it for all of them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from tests.cheats_gpu.catalogue import CHEATS, FOLDER
from validation.correctness.case import Outcome
from validation.correctness.integrity.inspect import inspect
from validation.implementations.kernel_spec import parse_kernel
from validation.workloads.registry import find


def failed_gates(name: str) -> dict[str, str]:
    """The gates that a kernel of the folder fails, with what they say."""
    published = find("seed-claim")
    workload = replace(published, layer=replace(published.layer, dtype="bfloat16", device="cuda"))
    gates = inspect(parse_kernel(str(FOLDER / f"{name}.py"), device="cuda"), workload, threads=4)
    return {gate.gate: gate.message for gate in gates if gate.outcome is Outcome.FAILED}


def main() -> int:
    """Writes what every gate found; 1 when a cheat was not caught by its own, or the honest kernel by any."""
    found = {name: failed_gates(name) for name in ("honest_layer", *CHEATS)}
    missed = [name for name, gate in CHEATS.items() if gate not in found[name]]
    record = {"caught": len(CHEATS) - len(missed), "of": len(CHEATS), "missed": missed, "failed_gates": found}
    Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n")
    sys.stdout.write(json.dumps(record, indent=1) + "\n")
    return 1 if missed or found["honest_layer"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
