"""Gate: a kernel computes; it starts no processes, kills none, speaks to nobody, and reads no answers."""

from collections.abc import Iterable
from typing import Final

from validation.correctness.case import Gate, Outcome
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate
from validation.implementations.grave import grave
from validation.implementations.mailbox import Doing

_MOST_MESSAGE: Final = 400


def keeps_to_itself(observation: Observation) -> Gate:
    """Fails on a fork, a signal, a socket, or the opening of the suite's or a reference's files, at any time.

    Also on a file that is opened for writing, made, renamed or removed where the suite and its baselines are loaded
    from, whether or not anything is written there. A kernel's caches belong elsewhere; a worker writes no bytecode.
    """
    found = [
        one
        for number, doing in enumerate(observation.doings)
        for one in grave([doing], at_first=number in observation.compiling)
    ]
    if observation.reports_closed and not observation.ended:
        found.append("closed the channel on which its doings are reported")
    # What is started through libc goes unreported, and what was taken for a compiler may have stayed.
    if observation.companions and not found:
        found.append(f"had a process alive after its calls: {observation.companions[0][:100]}")
    return gate("keeps_to_itself", observation, "; ".join(found[:3]) or None)


def kept_to_itself(found: Gate, elsewhere: Iterable[Doing]) -> Gate:
    """Returns this gate failed by what the kernel did in other processes, and any other gate as it is.

    Those are the processes in which it was asked cases, tried on options, or timed roughly: every call there may be the
    first on so many tokens.
    """
    if found.gate != keeps_to_itself.__name__ or found.outcome is Outcome.FAILED:
        return found
    told = grave(elsewhere, at_first=True)
    if not told:
        return found
    message = "while it was asked cases: " + "; ".join(told)
    return found.model_copy(update={"outcome": Outcome.FAILED, "message": message[:_MOST_MESSAGE]})
