"""The time of a run is that of its process, from its start on."""

import subprocess
import sys
import time

from validation.stages.figures import duration, process_age_s


def test_the_age_of_a_process_counts_from_its_start() -> None:
    code = "import time; time.sleep(1); from validation.stages.figures import process_age_s; print(process_age_s())"
    started = time.monotonic()
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1.0 <= float(told.stdout) <= time.monotonic() - started + 0.02


def test_the_time_of_a_run_is_exact_and_named_by_what_ran() -> None:
    figure = duration("demo-s")
    assert (figure.name, figure.exact, len(figure.samples)) == ("demo-s", True, 1)
    assert 0 < figure.samples[0] <= process_age_s()
