"""`python -m tests.swept OUT.json [--jobs N] [faults/NAME ...]`: every planted kernel, as a user would try it.

Each goes through `moe-validation check --profile smoke --json` in a process of its own on two cores of its own, N at a
time (1). It is caught where the command exits 1 and names a check or a gate: the one that ought to catch it, or another
that stands before it, which OUT.json tells apart. The honest kernels that they are made from must exit 0. Takes 13 to
70 s a kernel, up to 5 minutes where it works or sleeps beside its calls. OUT.json is written anew after each, with the
digest of the sources that decide.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from validation.correctness import planted_cheats, planted_faults
from validation.correctness.case import Outcome
from validation.correctness.option import ANY_INPUT, LOWEST_ID_WINS, OPTIONS
from validation.correctness.planted import bring_answers, sources_digest
from validation.correctness.planted_cheats import CHEATS
from validation.correctness.planted_faults import FAULTS
from validation.correctness.spec import PLAIN
from validation.workloads.registry import find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from validation.correctness.planted_faults import Fault

_ROOT: Final = Path(__file__).parents[1]

#: The shape on which `check` looks at honesty, so that a cheat can bring answers to it.
_PUBLISHED: Final = find("seed-claim")

#: The honest kernels of the same folders.
_HONEST: Final = ("faults/by_steps", "cheats/honest_layer")

#: Those that look for answers beside their file.
_BRINGS: Final = frozenset(
    {"cheats/answers_on_disk", "cheats/bank_for_a_half", "cheats/bank_of_few", "cheats/bank_of_one"}
)
KERNELS: Final = (*(f"faults/{name}" for name in FAULTS), *(f"cheats/{name}" for name in CHEATS), *_HONEST)

#: A plain layer in another dtype, for kernels that are for it.
_SHAPE: Final = "256x128x512-E4-k2"

#: Of each kernel that many cores, as `check` promises its time on.
_CORES: Final = 2

#: Three times the longest seen (299 s); a kernel that hangs is ended by the suite's own limits long before.
_MOST_S: Final = 900
_GRACE_S: Final = 30


def required(fault: Fault) -> list[str]:
    """The options a fault must be held to, so that it is asked for what it does wrong."""
    variant = fault.variant
    options = [one.name for one in OPTIONS if one.changes and one.of(variant) == variant and one.of(PLAIN) != PLAIN]
    promises = [ANY_INPUT, *([LOWEST_ID_WINS] if fault.lowest_id_wins else [])]
    # A kernel for another dtype is asked nothing in float32.
    layer = [] if fault.dtype == "float32" else ["--workload", f"{_SHAPE}-{fault.dtype}"]
    return [*layer, *(word for name in (*options, *promises) for word in ("--require", name))]


def command(kernel: str, folder: Path) -> list[str]:
    """How a planted kernel is checked; a cheat is copied to `folder`, with what it needs beside it."""
    kind, name = kernel.split("/")
    options: list[str] = []
    path = planted_faults.FOLDER / f"{name}.py"
    if kind == "cheats":
        for file in {"honest_layer", name}:
            shutil.copy(planted_cheats.FOLDER / f"{file}.py", folder)
        path = folder / f"{name}.py"
    elif name in FAULTS:
        options = required(FAULTS[name])
    # What large batches of real widths are asked is no part of smoke.
    profile = "standard" if name.startswith("prefill_") else "smoke"
    check = [sys.executable, "-m", "validation", "check", "--device", "cpu", "--profile", profile, "--json"]
    return [*check, "--kernel", str(path), *options]


def failures(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cases and gates that failed."""
    return [one for one in (*document["cases"], *document["gates"]) if one["outcome"] == Outcome.FAILED]


def named(kernel: str, document: Mapping[str, Any]) -> str:
    """What was said by the check or the gate that ought to catch it, or nothing."""
    kind, name = kernel.split("/")
    failed = failures(document)
    if kernel in _HONEST:
        return ""
    if kind == "cheats":
        return next((one["message"] for one in failed if one.get("gate") == CHEATS[name]), "")
    fault = FAULTS[name]
    said = [one["message"] for one in failed if one.get("check") == fault.check]
    return next((message for message in said if fault.by in message), "")


def judged(kernel: str, code: int, document: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the exit is what it ought to be, what caught the kernel, and what was said."""
    others = [f"{one.get('gate') or one['id']}: {one['message']}" for one in failures(document)]
    said = named(kernel, document)
    by = "as planted" if said else "another" if others else ""
    right = code == 0 if kernel in _HONEST else code == 1 and bool(by)
    return {"exit": code, "right": right, "by": by, "said": (said or "; ".join(others))[:300]}


def tried(kernel: str, cores: Sequence[int], answers: Path) -> dict[str, Any]:
    """How a kernel fared, as `judged` says, and seconds. One that never ends, or says nothing, is wrong."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="swept-") as folder:
        if kernel in _BRINGS:
            shutil.copy(answers, folder)
        fared = _ran(kernel, ["taskset", "-c", ",".join(map(str, cores)), *command(kernel, Path(folder))])
    return {**fared, "seconds": round(time.monotonic() - started, 1)}


def _ran(kernel: str, words: Sequence[str]) -> dict[str, Any]:
    nothing = {"right": False, "by": ""}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=_ROOT
    ) as process:
        try:
            out, error = process.communicate(timeout=_MOST_S)
        except subprocess.TimeoutExpired:
            # `check` ends its workers when it is asked to end; if it does not hear, its reaper does.
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            return {**nothing, "exit": None, "said": f"did not end within {_MOST_S} s"}
    try:
        return judged(kernel, process.returncode, json.loads(out))
    except ValueError:
        return {**nothing, "exit": process.returncode, "said": error[-300:]}


def main() -> int:
    """Prints a line a kernel and how many were caught; 1 when one was not as it ought to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.swept")
    parser.add_argument("out", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("names", nargs="*", default=KERNELS, metavar="faults/NAME")
    asked = parser.parse_intermixed_args()
    cores = sorted(os.sched_getaffinity(0))
    most = max(1, len(cores) // _CORES)
    if not 1 <= asked.jobs <= most:
        parser.error(f"--jobs must be 1 to {most}, for each has {_CORES} of {len(cores)} cores; got {asked.jobs}")
    if unknown := sorted(set(asked.names) - set(KERNELS)):
        parser.error(f"names must be those of planted kernels, as in {KERNELS[0]}; got {', '.join(unknown)}")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    places: SimpleQueue[Sequence[int]] = SimpleQueue()
    for job in range(asked.jobs):
        places.put(cores[_CORES * job : _CORES * (job + 1)])
    found: dict[str, dict[str, Any]] = {}
    sources = sources_digest()
    with tempfile.TemporaryDirectory(prefix="swept-") as folder, ThreadPoolExecutor(asked.jobs) as pool:
        answers = Path(folder) / "answers.pt"
        bring_answers(answers, _PUBLISHED)

        def on_cores(name: str) -> dict[str, Any]:
            place = places.get()
            try:
                return tried(name, place, answers)
            finally:
                places.put(place)

        waiting = {pool.submit(on_cores, name): name for name in asked.names}
        for done in as_completed(waiting):
            name = waiting[done]
            found[name] = done.result()
            right = sum(one["right"] for one in found.values())
            record = {"sources_sha256": sources, "right": right, "of": len(found), "kernels": found}
            asked.out.write_text(json.dumps(record, indent=1) + "\n")
            one = found[name]
            by = f" (caught by {one['by']})" if one["by"] else ""
            state = "as it ought to be" if one["right"] else "WRONG"
            sys.stdout.write(f"{right} of {len(found)}  {name}: exit {one['exit']}, {one['seconds']} s, {state}{by}\n")
            sys.stdout.flush()
    return 0 if all(one["right"] for one in found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
