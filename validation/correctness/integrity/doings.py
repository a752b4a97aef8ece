"""Gate: a kernel computes; it starts no processes, kills none, speaks to nobody, and reads no answers."""

from collections.abc import Iterable
from typing import Final

from validation.correctness.case import Gate, Outcome
from validation.correctness.integrity.observation import Observation
from validation.correctness.integrity.verdict import gate
from validation.implementations.mailbox import Doing

#: A compiler may be started while a kernel is loaded, prepared, or called for the first time on so many tokens
#: (torch.compile).
_AT_FIRST: Final = frozenset({"subprocess.Popen", "os.posix_spawn", "os.spawn", "os.exec", "os.system"})

#: Whether there is IPv6 urllib3 finds out, as it is imported (by requests), by a socket that is bound to this machine
#: alone, at a port that nobody knows beforehand. Whom it would hear would be a socket made later (`accept`).
_TRIES: Final = frozenset(f"an object, ({host!r}, 0)" for host in ("localhost", "127.0.0.1", "::1"))
_EARLY: Final = frozenset({"import", "prepare"})

#: Searching the heap is what some compilers do at first, and what nobody needs afterwards.
_HEAP: Final = frozenset({"gc.get_objects", "gc.get_referrers", "gc.get_referents"})


_MOST_MESSAGE: Final = 400


def keeps_to_itself(observation: Observation) -> Gate:
    """Fails on a fork, a signal, a socket, or the opening of the suite's or a reference's files, at any time.

    Also on a file that is opened for writing, made, renamed or removed where the suite and its baselines are loaded
    from, whether or not anything is written there. A kernel's caches belong elsewhere; a worker writes no bytecode.
    """
    grave = [
        _told(doing)
        for number, doing in enumerate(observation.doings)
        if _is_grave(doing, at_first=number in observation.compiling)
    ]
    if observation.reports_closed and not observation.ended:
        grave.append("closed the channel on which its doings are reported")
    # What is started through libc goes unreported, and what was taken for a compiler may have stayed.
    if observation.companions and not grave:
        grave.append(f"had a process alive after its calls: {observation.companions[0][:100]}")
    return gate("keeps_to_itself", observation, "; ".join(grave[:3]) or None)


def kept_to_itself(found: Gate, elsewhere: Iterable[Doing]) -> Gate:
    """Returns this gate failed by what the kernel did in other processes, and any other gate as it is.

    Those are the processes in which it was asked cases, tried on options, or timed roughly: every call there may be the
    first on so many tokens.
    """
    if found.gate != keeps_to_itself.__name__ or found.outcome is Outcome.FAILED:
        return found
    grave = [_told(doing) for doing in elsewhere if _is_grave(doing, at_first=True)]
    if not grave:
        return found
    message = "while it was asked cases: " + "; ".join(dict.fromkeys(grave))
    return found.model_copy(update={"outcome": Outcome.FAILED, "message": message[:_MOST_MESSAGE]})


def _told(doing: Doing) -> str:
    return f"{doing.event}({doing.argument}) during {doing.stage}"


def _is_grave(doing: Doing, *, at_first: bool) -> bool:
    return not ((at_first and doing.event in _AT_FIRST | _HEAP) or (doing.stage in _EARLY and _tries(doing)))


def _tries(doing: Doing) -> bool:
    return doing.event == "socket.__new__" or (doing.event == "socket.bind" and doing.argument in _TRIES)
