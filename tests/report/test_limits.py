"""What a report refuses, what it may cost, and what it never tells."""

import getpass
import json
import os
import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.report.builders import material
from validation.cli import app, main
from validation.evidence.fingerprint import collect_environment
from validation.report.document import compose
from validation.report.html import render

ROOT = Path(__file__).resolve().parents[2]

#: Run in a process of its own, whose memory is that of the report alone.
#: Its peak is VmHWM: ru_maxrss is handed down over fork and exec, and told the gigabyte of the pytest worker before it.
FULL_REPORT = """
import json, re, sys
from pathlib import Path
from tests.report.big import big_evidence
from tests.report.builders import material
from validation.report.write import write_report
made = material(big_evidence())
calls = sum(len(b.calls_ns) for p in made.evidence[0].evidence.processes for s in p.series for b in s.blocks)
html, pdf = write_report(made, Path(sys.argv[1]))
print(json.dumps({
    "samples": calls, "findings": len(made.verdicts.findings), "html": html.stat().st_size, "pdf": pdf.stat().st_size,
    "kib": int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]),
}))
"""

#: Imports nothing of the kernel's and the measurements' libraries, as after `pip install .[report]`.
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "mojo", "max", "triton", "psutil", "threadpoolctl", "filelock"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from validation.cli import main
sys.argv = ["moe-validation", *sys.argv[1:]]
main()
"""


def test_a_full_report_stays_small(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_REPORT, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["samples"] >= 200_000
    assert told["findings"] >= 60
    assert told["html"] <= 3_000_000
    assert told["pdf"] <= 1_500_000
    assert told["kib"] <= 1 << 19


def test_verify_needs_only_the_report_extra(pdf: Path) -> None:
    command = [sys.executable, "-c", WITHOUT, "verify", str(pdf)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Verified: report.pdf")
    # Drawn by another process, with other hash seeds.
    assert "Every byte is the same" in " ".join(done.stdout.split())


@pytest.mark.skipif(os.environ.get("CLEAN_VENV") != "1", reason="installs for minutes; make alone runs it")
def test_a_clean_environment_with_the_report_extra_verifies(report: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "-c", "constraints.txt", "-e", ".[report]"]
    subprocess.run(install, cwd=ROOT, check=True)
    absent = "import importlib.util as i; assert not any(map(i.find_spec, ('torch', 'mojo', 'psutil')))"
    subprocess.run([python, "-c", absent], cwd=tmp_path, check=True)
    command = [str(environment / "bin" / "moe-validation"), "verify", str(report / "report.pdf")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Verified: report.pdf")


def refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The one message of a command that the input's fault ends with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["moe-validation", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_evidence_of_100_mb_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evidence.json"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    message = refused(["report", str(path), "--out", str(tmp_path)], monkeypatch, capsys)
    assert "must hold at most" in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "data", [b"[" * 1_000_000, b'{"a":' * 500_000, b'{"schema_version": 1, "notes": ' + b"[" * 9_999]
)
def test_deeply_nested_evidence_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(data)
    message = refused(["report", str(path), "--out", str(tmp_path)], monkeypatch, capsys)
    assert "evidence.json" in message
    assert "Traceback" not in message


def test_no_name_of_this_machine_or_its_user_is_told() -> None:
    made = material()
    here = made.evidence[0].evidence.model_copy(update={"environment": collect_environment(2)})
    html = render(compose(material(here)), "screen")
    body = html[html.index("<body>") :]
    told = [str(ROOT), str(Path.home()), socket.gethostname()]
    # A user called root is on every machine, and in the word itself.
    told += [name for name in (getpass.getuser(),) if name != "root"]
    assert [name for name in told if len(name) > 3 and name in body] == []


def test_the_command_line_tells_a_missing_report(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["verify", str(tmp_path / "none.pdf")])
    assert "must be a readable report" in str(found.exception)
