"""The doctor finds what is there, and what is not there comes with the line that mends it."""

import json
from dataclasses import replace

import pytest

from validation.cpu import read_cpu
from validation.performance.probe import Probe
from validation.stages import doctor
from validation.stages.doctor import (
    State,
    check_library,
    check_memory,
    check_package,
    check_probe,
    check_python,
    check_tool,
    check_vectors,
    diagnose,
    show_diagnosis,
)
from validation.usage import UsageError


def _nothing(_name: str) -> None:
    return None


def _no_probe() -> Probe:
    raise UsageError("no compiler")


@pytest.mark.parametrize(
    ("check", "mend"),
    [
        (check_python((3, 10, 2)), "make PYTHON=/path/to/python3.11 setup"),
        (check_package("no-such-package-at-all", "a test"), "make setup"),
        (check_tool("qpdf", "qpdf", _nothing), "sudo apt-get install -y --no-install-recommends qpdf"),
        (
            check_library("pango-1.0", "libpango-1.0-0", _nothing),
            "sudo apt-get install -y --no-install-recommends libpango-1.0-0",
        ),
        (check_probe(_no_probe), "sudo apt-get install -y --no-install-recommends gcc"),
        (check_memory(2 << 30), "moe-validation run --profile smoke"),
    ],
)
def test_what_is_missing_comes_with_the_line_that_mends_it(check: doctor.Check, mend: str) -> None:
    assert check.state is State.MISSING
    assert check.mend == mend


def test_a_processor_without_avx512_is_no_fault() -> None:
    assert check_vectors(replace(read_cpu(), features=("avx2",))).state is State.ABSENT


def test_this_machine_has_what_its_tests_run_on() -> None:
    found = {check.name: check.state for check in diagnose()}
    assert found["Python"] is found["numpy"] is found["gcc"] is found["probe"] is State.OK


def test_the_json_form_holds_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    show_diagnosis(as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in shown] == [check.name for check in diagnose()]


def test_each_mending_line_is_printed_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    planted = check_package("no-such-package-at-all", "a test")
    monkeypatch.setattr(doctor, "diagnose", lambda: (planted, planted))
    show_diagnosis(as_json=False)
    assert capsys.readouterr().out.count("    make setup") == 1
