"""The mutants themselves are run by `make mutants`, in minutes; here, that they can be."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import mutated, planned
from tests.mutants.catalogue import MUTANTS, Mutant
from tests.mutants.fate import Fate, Fates, kept
from validation.implementations.mojo_build import SOURCES


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_a_mutant_changes_one_place_of_the_sources_as_they_are(mutant: Mutant, tmp_path: Path) -> None:
    before, after = (SOURCES / mutant.file).read_text(), (mutated(mutant, tmp_path) / mutant.file).read_text()
    assert len(after) - len(before) == len(mutant.new) - len(mutant.old)
    assert after != before


def test_there_are_at_least_30_mutants_and_their_names_are_distinct() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30


def test_a_mutant_whose_source_has_changed_is_refused_by_name(tmp_path: Path) -> None:
    gone = Mutant(name="gone", file="moe/forward.mojo", old="no such line", new="")
    with pytest.raises(SystemExit, match=r"gone: moe/forward\.mojo must hold 'no such line'"):
        mutated(gone, tmp_path)


def test_the_cases_that_kill_include_more_than_one_pass_over_the_tokens() -> None:
    assert any(spec.workload.tokens > 200_000 for spec in planned())


def test_what_became_of_them_is_kept_and_belongs_to_these_sources_alone(tmp_path: Path) -> None:
    path = tmp_path / "mutants.json"
    killed, survivor = Fate(mutant="tile: a", killed_by="random:1x2x3"), Fate(mutant="tile: b")
    same = Fate(mutant="tile: c", equivalent="it is zero")
    told = Fates(sources="these")
    for one in (killed, survivor, same):
        told = told.told(one, path)
    assert kept("these", path) == told
    assert kept("others", path).fates == ()
    assert kept("these", tmp_path / "none").fates == ()
    assert told.sentence == "1 of 2 mutants killed; 1 more are equivalent."
    assert told.unexplained == (survivor,)
    assert (told.of("tile: b"), told.of("tile: d")) == (survivor, None)
