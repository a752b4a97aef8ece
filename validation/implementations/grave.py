"""What no kernel needs to do: which reports of a process's doings tell against it."""

from collections.abc import Iterable
from typing import Final

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


def grave(doings: Iterable[Doing], *, at_first: bool) -> list[str]:
    """Returns those that no kernel needs, in words, each once.

    `at_first` are doings before, or in, a first call on so many tokens, in which a kernel may compile itself.
    """
    return list(dict.fromkeys(_told(doing) for doing in doings if _is_grave(doing, at_first=at_first)))


def _told(doing: Doing) -> str:
    return f"{doing.event}({doing.argument}) during {doing.stage}"


def _is_grave(doing: Doing, *, at_first: bool) -> bool:
    return not ((at_first and doing.event in _AT_FIRST | _HEAP) or (doing.stage in _EARLY and _tries(doing)))


def _tries(doing: Doing) -> bool:
    return doing.event == "socket.__new__" or (doing.event == "socket.bind" and doing.argument in _TRIES)
