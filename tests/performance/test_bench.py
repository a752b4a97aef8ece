"""The table of `make bench`, of evidence whose true times a test chose."""

import re

from benchmarks.contests import Contest
from benchmarks.recorded import contests
from benchmarks.table import TOO_FEW, table
from tests.synthetic import CANDIDATE, CPU_TIMES_US, PROBE_USUAL, evidence
from validation.performance.sample import ProbeRule, Role, apply_rule
from validation.verdicts.floors import Hardware

SEED_CLAIM = {"seed-claim": CPU_TIMES_US["seed-claim"]}


def _row(text: str, contender: str) -> str:
    (row,) = re.findall(rf"^  {contender} .*$", text, re.MULTILINE)
    return str(row)


def test_contenders_stand_fastest_first_with_share_and_ratio() -> None:
    recorded = evidence(times_us=CPU_TIMES_US, process_noise=0.001)
    text = table(contests(recorded), Hardware.of(recorded, "cpu"))
    groups = text.split("\n\n")[1:]
    assert [group.split(":")[0] for group in groups] == [
        "seed-claim float32",
        "seed-claim-t1 float32",
        "seed-quick float32",
    ]
    names = [line.split()[0] for line in groups[0].splitlines()[2:]]
    true = CPU_TIMES_US["seed-claim"]
    assert names[0] == CANDIDATE
    # Two of the true times are 3 % apart, so only the others' order is certain.
    assert [name for name in names if name != "torch_grouped_mm"] == [
        name for name in sorted(true, key=true.__getitem__) if name != "torch_grouped_mm"
    ]
    # 2.147 GFLOP by 234.5 GFLOP/s are 9158 us, of 10060 and a drift of 5 % on the way.
    share = int(_row(text.split("seed-claim-t1")[0], CANDIDATE).split()[-1].rstrip("%"))
    assert 86 <= share <= 91
    ratio = re.search(r"([\d.]+)x \[([\d.]+), ([\d.]+)\]", _row(groups[0], "torch_dense"))
    assert ratio is not None
    low, high = float(ratio[2]), float(ratio[3])
    assert low <= 3.44 <= high
    assert high - low < 0.1
    assert all(len(line) <= 100 for line in text.splitlines())


def test_the_kernel_beside_itself_is_told() -> None:
    recorded = evidence(times_us=SEED_CLAIM, process_noise=0.001, aa_bias=1.2)
    assert "the kernel beside itself 1.20x" in table(contests(recorded), Hardware.of(recorded, "cpu"))


def test_what_the_probe_rejected_has_no_figure() -> None:
    recorded = evidence(times_us=SEED_CLAIM)
    (measured,) = contests(recorded)
    # A fifth of full speed beside every block.
    slow = ProbeRule(usual_flop_per_s=5 * PROBE_USUAL)
    busy = Contest(workload=measured.workload, processes=apply_rule(measured.processes, slow), rule=slow)
    text = table([busy], Hardware.of(recorded, "cpu"))
    told = " ".join(text[text.index(TOO_FEW) :].split())
    assert told == f"{TOO_FEW}: {', '.join(sorted(SEED_CLAIM['seed-claim']))}"


def test_the_discarded_round_does_not_count() -> None:
    (measured,) = contests(evidence(times_us=SEED_CLAIM, pairs=4))
    assert sorted(measured.measured(CANDIDATE, Role.CANDIDATE).calls) == [1, 2, 3, 4]


def test_wrong_outputs_and_deaths_are_failures_of_their_contender_alone() -> None:
    (wrong,) = contests(evidence(times_us=SEED_CLAIM, outputs_wrong=1))
    assert [failure.split(":")[0] for failure in wrong.failures(CANDIDATE)] == ["round 2"]
    assert not list(wrong.failures("torch_dense"))

    dead = {(3, Role.BASELINES): "torch_dense: killed by SIGSEGV"}
    recorded = evidence(times_us=SEED_CLAIM, dead=dead)
    (alive,) = contests(recorded)
    # A process that ended has no series, by which the contest of a record is told: its own knows it.
    ended = Contest(workload=alive.workload, processes=recorded.processes, rule=recorded.probe)
    assert list(ended.failures("torch_dense")) == ["round 3: torch_dense: killed by SIGSEGV"]
    assert not list(ended.failures("torch_sorted"))
    assert not list(ended.failures("torch"))
    assert not list(ended.failures(CANDIDATE))
