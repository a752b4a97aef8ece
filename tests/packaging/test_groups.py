"""Tests that compile the same thing run one after the other: both cores would compile it, or one would wait."""

import pytest


@pytest.mark.xdist_group("grouped")
def test_tests_of_one_group_go_to_one_worker(request: pytest.FixtureRequest) -> None:
    # pytest-xdist 3.8.0 deals them out by what it adds to their names, of which pytest 9.2 takes no notice, silently
    # (pytest-xdist issue 1386): constraints.txt stays below it.
    if not hasattr(request.config, "workerinput"):
        pytest.skip("one process runs all tests")
    assert request.node.nodeid.endswith("@grouped")
