"""What the parts of a report say, before anything is drawn."""

import dataclasses
import re

import pytest

from tests.report.builders import claims_source, material
from tests.synthetic import CANDIDATE, CPU_TIMES_US, SUITE, cases, evidence, gates, gpu_evidence
from tests.verdicts.judging import claim, reading
from validation.correctness.case import Outcome
from validation.correctness.trials import PlantedCount
from validation.evidence.record import Evidence
from validation.performance.figure import Figure
from validation.performance.statistics import Estimate
from validation.report.ablation import ablation_charts, variants
from validation.report.audited import audit_view
from validation.report.conclusion import conclude
from validation.report.correctness import correctness_view
from validation.report.document import compose
from validation.report.environment import left_out
from validation.report.html import render
from validation.report.performance import figure_rows
from validation.report.recorded import sources
from validation.report.timing import timings
from validation.report.words import count
from validation.stages.observe import by_rule
from validation.verdicts.floors import Hardware, floor
from validation.verdicts.samples import own_share
from validation.verdicts.unseen import UnseenCalls

RECORDED = SUITE.model_copy(update={"commit": "fedcba9876543210fedcba9876543210fedcba98"})


def with_ablation(slower: float) -> Evidence:
    """The study's evidence with a variant of the kernel that lacks vectors, `slower` times as slow."""
    times = {
        "seed-claim": {**CPU_TIMES_US["seed-claim"], "mojo_scalar": CPU_TIMES_US["seed-claim"][CANDIDATE] * slower}
    }
    made = evidence(times_us=times)
    return made.model_copy(
        update={
            "implementations": tuple(
                one.model_copy(update={"description": "without vectors"}) if one.name == "mojo_scalar" else one
                for one in made.implementations
            )
        }
    )


def test_a_machine_of_another_commit_is_called_a_record_and_named() -> None:
    record = gpu_evidence().model_copy(update={"suite": RECORDED})
    made = material(evidence(), record)
    found = {source.name.split(" (")[0]: source for source in sources(made)}
    assert found["AMD EPYC 9R14"].label == "measured in this run"
    label = found["NVIDIA H200 in a host with AMD EPYC 9R14"].label
    assert re.fullmatch(r"recorded on 2026-01-02 at commit fedcba987654, sha256 [0-9a-f]{16}", label)


def test_of_two_runs_of_one_suite_the_newer_is_this_run() -> None:
    older = gpu_evidence().model_copy(update={"recorded_at": "2025-12-31T00:00:00Z"})
    labels = [source.label.split()[0] for source in sources(material(older, evidence()))]
    assert sorted(labels) == ["measured", "recorded"]
    assert sum(source.here for source in sources(material(older, evidence()))) == 1


def test_two_machines_stand_side_by_side_and_are_never_averaged() -> None:
    document = compose(material(evidence(), gpu_evidence()))
    assert [source.letter for source in document.sources] == ["A", "B"]
    for view in document.findings:
        owner = next(s for s in document.sources if s.sha256 == view.finding.evidence_sha256)
        assert view.letter == owner.letter
    assert {machine.source.letter for machine in document.machines if machine.workloads} == {"A", "B"}
    html = render(document, "screen")
    assert "A: NVIDIA H200" in html
    assert "B: AMD EPYC 9R14" in html or "A: AMD EPYC 9R14" in html


def test_section_4_stands_on_the_floor_of_the_verdicts() -> None:
    made = evidence()
    for timing in timings(made):
        record = next(one for one in made.workloads if one.name == timing.workload)
        assert timing.floor == floor(Hardware.of(made, timing.device), record)


def test_one_token_is_bound_by_memory_and_said_to_be() -> None:
    document = compose(material())
    told = {workload.key[0]: workload.floor for workload in document.machines[0].workloads}
    assert "bound by memory" in told["seed-claim-t1"]
    assert "bound by arithmetic" in told["seed-claim"]


def test_a_part_that_helps_is_told_with_its_interval() -> None:
    made = with_ablation(6.0)
    assert variants(made) == {"mojo_scalar"}
    chart = ablation_charts(made, timings(made))[0]
    assert "one part of 1 certainly makes the kernel faster" in chart.alt
    found = re.search(r"without vectors: ([\d.]+)× \[([\d.]+), ([\d.]+)\]", chart.alt)
    assert found
    low, high = float(found[2]), float(found[3])
    assert low < 6.0 < high


def test_a_part_that_slows_the_kernel_is_not_said_to_help() -> None:
    made = with_ablation(0.8)
    assert "no parts of 1 certainly make the kernel faster" in ablation_charts(made, timings(made))[0].alt


def test_variants_of_too_few_pairs_are_not_said_to_be_absent() -> None:
    made = with_ablation(6.0)
    one_pair = by_rule(made.model_copy(update={"processes": tuple(one for one in made.processes if one.round <= 1)}))
    html = render(compose(material(one_pair)), "screen")
    assert "Variants of the kernel were timed, but too few" in html


def test_variants_of_the_kernel_are_no_contenders() -> None:
    document = compose(material(with_ablation(6.0)))
    workload = document.machines[0].workloads[0]
    assert workload.ladder
    assert "mojo_scalar" not in workload.ladder.alt
    assert any(timing.implementation == "mojo_scalar" for timing in workload.timings)


def test_without_variants_nothing_is_ascribed_to_a_technique(made_html: str) -> None:
    assert "no share of its speed is ascribed" in made_html


def test_contradictions_between_published_numbers_stand_in_the_audit(made_html: str) -> None:
    view = audit_view(material())
    assert "contradict each other" in view.summary
    assert any(
        "2,155 GFLOP/s" in text and "wrong unit prefix" in text for group in view.groups for text in group.sentences
    )
    assert "a wrong unit prefix" in made_html


def test_claims_without_numbers_have_an_empty_audit() -> None:
    source = claims_source()
    bare = dataclasses.replace(source, file=source.file.model_copy(update={"numbers": (), "products": ()}))
    assert audit_view(material(claims=(bare,))).groups == ()


def test_a_figure_is_told_with_its_unit_and_spread() -> None:
    figure = Figure(name="demo-s", samples=(101.0, 99.0, 104.0), method="wall clock of the command")
    row = figure_rows(evidence().model_copy(update={"figures": (figure,)}))[0]
    assert (row.name, row.value, row.spread) == ("demo", "101 s", "99.0 s to 104 s")


@pytest.mark.parametrize(
    ("worst", "band"), [(0.0, 0), (0.1, 0), (0.3, 1), (0.9, 2), (1.0, 2), (1.2, 3), (10.0, 3), (1e9, 4)]
)
def test_an_error_lies_in_the_band_of_its_bound(worst: float, band: int) -> None:
    case = cases()[0].model_copy(update={"worst": worst, "shape": "17x64x128-E4-k2-float32"})
    view = correctness_view((case,), ())
    assert view.columns == ("17–64",)
    cell = view.rows[0].cells[0]
    assert cell is not None
    assert cell.band == band


def test_every_outcome_of_a_case_is_shown() -> None:
    shown = tuple(
        cases()[0].model_copy(update={"check": outcome.value, "outcome": outcome, "worst": 2.0}) for outcome in Outcome
    )
    made = material(evidence().model_copy(update={"cases": shown, "gates": gates()[:1]}))
    html = render(compose(made), "screen")
    assert all(word in html for word in ("1 passed", "1 failed", "1 mistrusted", "1 declined"))


def test_a_mistrusted_error_is_not_called_the_largest() -> None:
    trusted, doubted = cases()[0], cases()[1].model_copy(update={"outcome": Outcome.MISTRUSTED, "worst": 0.9})
    view = correctness_view((trusted, doubted), ())
    assert view.worst == trusted


def test_page_one_says_that_a_wrong_kernel_has_no_speed() -> None:
    wrong = cases()[0].model_copy(update={"outcome": Outcome.FAILED})
    told = conclude(material(evidence().model_copy(update={"cases": (wrong, *cases()[1:])})))
    assert told.kernel == "One correctness case failed. So no speed of it counts."


def test_page_one_says_that_a_cheat_was_caught() -> None:
    caught = gates()[0].model_copy(update={"outcome": Outcome.FAILED, "message": "returned stored answers"})
    told = conclude(material(evidence().model_copy(update={"gates": (caught, *gates()[1:])})))
    assert "One way of cheating was found" in told.kernel


def test_a_declined_variant_is_no_doubt_about_the_rest() -> None:
    declined = cases()[0].model_copy(update={"outcome": Outcome.NOT_SUPPORTED})
    told = conclude(material(evidence().model_copy(update={"cases": (declined, *cases()[1:])})))
    assert "right in all 14 cases" in told.kernel


def test_a_case_that_proves_nothing_is_not_counted_as_right_or_wrong() -> None:
    empty = cases()[0].model_copy(update={"outcome": Outcome.MISTRUSTED})
    told = conclude(material(evidence().model_copy(update={"cases": (empty, *cases()[1:])})))
    assert f"right in {len(cases()) - 1} cases (one more that zeros would pass too is not counted)" in told.kernel


@pytest.mark.parametrize(
    ("at_least", "told"),
    [
        ((0.5,), "The one of its targets that was measured is confirmed."),
        ((0.99,), "The one of its targets that was measured is not confirmed."),
        ((0.5, 0.99), "Of its two targets that were measured, one is confirmed."),
    ],
)
def test_page_one_counts_the_targets_apart(at_least: tuple[float, ...], told: str) -> None:
    aims = tuple(
        claim(reading(bound, metric="floor_share", baseline=None), target=True).model_copy(
            update={"id": f"aim-{number}"}
        )
        for number, bound in enumerate(at_least)
    )
    source = claims_source()
    aimed = dataclasses.replace(source, file=source.file.model_copy(update={"claims": aims}))
    assert conclude(material(claims=(aimed,))).holds == told


def test_the_speed_that_times_are_told_at_is_told_of_a_cpu_that_was_timed() -> None:
    timed, nothing = evidence(), evidence().model_copy(update={"processes": (), "probe": None})
    told = [compose(material(one)).machines[0].speed for one in (timed, nothing)]
    share = own_share(timed, "cpu")
    assert share is not None
    assert f"{100 * share:.0f} % of what its cores reach" in told[0]
    assert told[1] == ""


def test_a_threshold_of_several_machines_is_one() -> None:
    promised = claim(reading(1.0), promise=True)
    source = claims_source()
    own = dataclasses.replace(source, file=source.file.model_copy(update={"claims": (promised,)}))
    assert conclude(material(evidence(), gpu_evidence(), claims=(own,))).holds.startswith(
        "This project's own threshold is"
    )


def test_ways_to_cheat_are_counted_once_however_many_machines_looked() -> None:
    one, two = conclude(material(evidence())), conclude(material(evidence(), gpu_evidence()))
    ways = f"of {count(len(gates()), 'way')} to cheat"
    assert ways in one.kernel
    assert ways in two.kernel


def planted(*, missed: tuple[str, ...] = (), these_sources: bool = True) -> PlantedCount:
    return PlantedCount(
        faults=47,
        faults_caught=47 - len(missed),
        cheats=29,
        cheats_caught=29,
        missed=missed,
        tried="2026-01-01",
        these_sources=these_sources,
    )


@pytest.mark.parametrize(
    ("found", "outcome", "text"),
    [
        (
            planted(),
            Outcome.PASSED,
            "47 of 47 planted faults and 29 of 29 cheats, tried on 2026-01-01 with these",
        ),
        (planted(missed=("tf32",)), Outcome.FAILED, "46 of 47 planted faults .* Not caught: tf32."),
        (planted(these_sources=False), Outcome.MISTRUSTED, "with other sources than these"),
        (None, Outcome.MISTRUSTED, "were not tried with the sources of this run"),
    ],
)
def test_section_3_says_how_many_planted_kernels_were_caught(
    found: PlantedCount | None, outcome: Outcome, text: str
) -> None:
    view = correctness_view(cases(), gates(), found)
    assert view.planted_outcome is outcome
    assert re.search(text, view.planted)


@pytest.mark.parametrize(("fault", "outcome"), [("", Outcome.PASSED), ("calls took twice as long", Outcome.FAILED)])
def test_section_3_says_how_long_calls_on_unseen_tokens_took(fault: str, outcome: Outcome) -> None:
    found = UnseenCalls(
        on="seed-claim in float32 (cpu)",
        calls=31,
        all_calls=1240,
        ratio=Estimate(value=1.004, low=0.98, high=1.03, count=20),
        fault=fault,
    )
    view = correctness_view(cases(), gates(), None, [found])
    assert view.unseen_outcome is outcome
    assert "1.00 [0.980, 1.03] times on seed-claim in float32 (cpu), 31 of 1,240 calls" in view.unseen
    assert not correctness_view(cases(), gates()).unseen


def test_page_one_names_the_planted_kernels_that_this_suite_caught() -> None:
    told = [
        conclude(material(evidence().model_copy(update={"planted": one}))).kernel
        for one in (planted(), planted(these_sources=False), None)
    ]
    assert ["47 of 47 faults and 29 of 29 cheats" in text for text in told] == [True, False, False]


def test_what_was_left_out_stands_under_its_reason() -> None:
    texts = ("workload a in float32: too slow", "numpy on b: too slow", "energy: no counter (see: /sys)")
    made = evidence().model_copy(update={"left_out": texts})
    assert left_out(made) == (
        ("too slow", ("workload a in float32", "numpy on b")),
        ("no counter (see: /sys)", ("energy",)),
    )
