from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from validation.correctness.case import Gate, Outcome
from validation.correctness.integrity.inspect import GATES
from validation.implementations.kernel_spec import parse_kernel
from validation.stages import examine
from validation.stages.pace import fitting
from validation.stages.subject import Subject
from validation.workloads.registry import find

KERNEL = """
import time
from itertools import count

def prepare(layer):
    calls = count(1)
    def forward(x):
        call = next(calls)
        time.sleep({pace} * len(x) if {when} else 0)
        return x.clone()
    return forward
"""


@pytest.mark.parametrize(
    ("when", "tokens"),
    [
        ("False", 1024),
        ("True", 4),
        ("len(x) < 1024", 1024),
        # A timed process makes more calls than these; one that takes its time for them all is slow there too.
        ("len(x) < 1024 or call <= 4", 1024),
        ("len(x) < 1024 or call <= 5", 4),
    ],
    ids=["fast", "slow", "slow on few tokens alone", "slow at first", "slow for as long as it is timed"],
)
def test_a_slow_kernel_is_looked_at_on_a_few_tokens_and_none_hides_behind_that(
    when: str, tokens: int, tmp_path: Path
) -> None:
    path = tmp_path / "kernel.py"
    path.write_text(KERNEL.format(when=when, pace=0.0006))
    subject = Subject(implementation=parse_kernel(str(path)), threads=1)
    assert fitting(subject, find("1024x64x64-E4-k2-float32"), []).tokens == tokens


def test_a_very_slow_kernel_is_not_called_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 s a call in pure Python: five would be three minutes."""
    monkeypatch.setattr("validation.stages.pace._ALL_S", 0.5)
    path, made = tmp_path / "kernel.py", tmp_path / "calls"
    path.write_text(KERNEL.format(when=f"len(x) < 1024 or open({str(made)!r}, 'a').write('.')", pace=0.0006))
    subject = Subject(implementation=parse_kernel(str(path)), threads=1)
    assert fitting(subject, find("1024x64x64-E4-k2-float32"), []).tokens == 4
    assert made.read_text() == "."


def test_what_gates_say_of_the_times_of_a_slow_kernel_is_no_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kernel.py"
    path.write_text(KERNEL.format(when="True", pace=0.0006))
    subject = Subject(implementation=parse_kernel(str(path)), threads=1)
    passed = tuple(Gate(gate=judge.__name__, implementation="kernel", outcome=Outcome.PASSED) for judge in GATES)
    monkeypatch.setattr(examine, "inspect", lambda *_of, **_how: passed)
    monkeypatch.setattr(examine, "fitting", lambda _subject, workload, _heard: replace(workload, tokens=4))
    found = examine.observe_gates(subject, Console(quiet=True))
    doubted = {gate.gate: gate.message for gate in found if gate.outcome is Outcome.MISTRUSTED}
    assert doubted.keys() == {"same_time_for_old_and_new", "does_its_own_work", "clocks_agree"}
    assert set(doubted.values()) == {"slow on the 1024 tokens of the published shape, so that it was looked at on 4"}
    monkeypatch.setattr(examine, "fitting", lambda _subject, workload, _heard: workload)
    assert examine.observe_gates(subject, Console(quiet=True)) == passed
