"""A run beside other work says so."""

from tests import synthetic
from validation.performance.sample import OTHERS_RAN
from validation.stages.observe import _noise

EVIDENCE = synthetic.evidence(pairs=2, times_us={"seed-claim": {synthetic.CANDIDATE: 10_000.0}})


def test_other_processes_beside_most_blocks_are_told_and_none_are_not() -> None:
    assert _noise(EVIDENCE.processes) == ""
    assert _noise(()) == ""
    busy = tuple(
        process.model_copy(
            update={
                "series": tuple(
                    series.model_copy(
                        update={
                            "blocks": tuple(
                                block.model_copy(update={"accepted": False, "reason": OTHERS_RAN})
                                for block in series.blocks
                            )
                        }
                    )
                    for series in process.series
                )
            }
        )
        for process in EVIDENCE.processes
    )
    assert "do not count" in _noise(busy)
