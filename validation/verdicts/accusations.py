"""Ways in which a candidate's timed calls show it to be dishonest, each with its code."""

from dataclasses import dataclass

from validation.evidence.record import Evidence
from validation.verdicts.conduct import misbehaves
from validation.verdicts.cores import exceeds_cores
from validation.verdicts.hidden import hides_time
from validation.verdicts.reasons import Reason
from validation.verdicts.shifted import shifts_work
from validation.verdicts.spoilt import spoils_unseen
from validation.verdicts.unseen import knows_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Accusation:
    """What the candidate does in short, and in a clause what was seen of it."""

    reason: Reason
    does: str
    seen: str


def accusations(evidence: Evidence, implementation: str) -> tuple[Accusation, ...]:
    """Returns what the samples show of the candidate; nothing for an honest one."""
    found = (
        (Reason.KNOWS_TOKENS, "remembers answers while it is timed", knows_tokens(evidence, implementation)),
        (Reason.UNSEEN_SPOILT, "spoils the blocks that would tell on it", spoils_unseen(evidence, implementation)),
        (Reason.MISBEHAVES, "does what no kernel needs", misbehaves(evidence, implementation)),
        (Reason.CORES_EXCEEDED, "takes more cores than it was given", exceeds_cores(evidence, implementation)),
        (Reason.WORK_SHIFTED, "moves work from call to call", shifts_work(evidence, implementation)),
        (Reason.TIME_HIDDEN, "has a clock that leaves time out", hides_time(evidence, implementation)),
    )
    return tuple(Accusation(reason=reason, does=does, seen=seen) for reason, does, seen in found if seen)
