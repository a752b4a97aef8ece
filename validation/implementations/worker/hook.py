"""The audit hook of a candidate's process: what it tells of which event.

It calls nothing that stands where a candidate looks.

`fence` runs this file apart from every module (`apart`): its globals are nobody's, and builtins, modules and the
functions that follow links are copies made before a kernel is loaded. What it asks of a kernel's `str` it asks of a
plain one.
"""

from __future__ import annotations

import builtins
import itertools
import os
import posixpath
import re
import socket
import types
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    #: What is reported of an event with its arguments: its name and one argument, or nothing.
    _Told = Callable[[str, tuple[Any, ...]], tuple[str, str] | None]

#: Events reported whatever their arguments: a process, a signal, a socket, a search through the heap, a function that
#: Python is to call wherever any other begins, the harness's too.
REPORTED: Final = frozenset(
    {
        "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen", "pty.spawn",
        "os.kill", "os.killpg", "signal.pthread_kill",
        "socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg",
        "gc.get_objects", "gc.get_referrers", "gc.get_referents",
        "sys.setprofile", "sys.settrace", "sys.monitoring.register_callback",
    }
)  # fmt: skip

#: Of these families a socket is told of when it is made, by `accept` too: one that was bound would else hear unheard.
#: Those of AF_UNIX reach no farther than pipes do; asyncio makes a pair of them.
FAMILIES: Final = frozenset({int(socket.AF_INET), int(socket.AF_INET6)})

#: Told every time: what is excused while a kernel is loaded is not excused later.
AGAIN: Final = frozenset({"socket.__new__", "socket.bind"})

#: Functions of the C library that do unheard what is reported of Python; asking ctypes for one is reported.
LIBRARY: Final = frozenset(
    {
        "fork", "vfork", "clone", "execve", "execv", "execvp", "posix_spawn", "system", "popen", "kill", "tgkill",
        "killpg", "open", "open64", "openat", "fopen", "connect", "ptrace", "process_vm_readv", "process_vm_writev",
        "prlimit", "prlimit64", "syscall",
    }
)  # fmt: skip

#: Raised by the harness, with a word that nobody knows beforehand: a hook that reports it has not been taken out.
STILL_THERE: Final = "moe.still_there"

#: Events that change a folder or a file by its path: at which of their arguments a path stands, and the descriptor of
#: the folder that it starts from, where there may be one. A link is a second name for what may not be written.
CHANGES: Final = {
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.mkdir": ((0, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
}

#: What an opening for writing is reported as.
WRITTEN: Final = "open for writing"

#: Stands between an event and its argument, in a line of a report.
BETWEEN: Final = "\t"

#: Memory of a process, the suite's in the first place; and the files that inputs and weights wait in.
_MEMORY: Final = re.compile(r"/proc/\d+/(task/\d+/)?(mem|map_files/.*)|/memfd:(arena|staging|weights).*")

#: Flags of an opening after which a file can be other than it was.
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

#: A report is cut to this length: written at once, it stays below PIPE_BUF (4096) and is never torn.
_MOST_ARGUMENT: Final = 400

_SIGNALS: Final = frozenset({"os.kill", "os.killpg"})


def apart(file: str) -> dict[str, Any]:
    """Returns the globals of a Python file that was run by itself, with copies of all modules and builtins it uses."""
    own: dict[str, Any] = {"__builtins__": dict(vars(builtins)), "__name__": "apart", "__file__": file}
    with open(file, encoding="utf-8") as source:  # noqa: PTH123 -- as plain as it can be
        exec(compile(source.read(), file, "exec"), own)  # noqa: S102 -- a file of ours, or Python's own
    modules = {name: value for name, value in own.items() if isinstance(value, types.ModuleType)}
    # In place: its functions look their globals up there.
    own.update({name: types.SimpleNamespace(**vars(module)) for name, module in modules.items()})
    return own


def hook(
    descriptor: int, reads: Callable[[str], bool], writes: Callable[[str], bool], judges: frozenset[int]
) -> Callable[[str, tuple[Any, ...]], None]:
    """Returns the hook, which writes what it has to tell on `descriptor`: a line of number, event, argument.

    The same is told once, of sockets each time.

    `reads` and `writes` say of a real path whether reading and writing there is told. Signals to `judges` are refused.
    """
    write = os.write
    said_of = {"open": _opened(reads, writes), **_changed(writes), **_spoken()}
    said: set[tuple[str, str]] = set()
    numbers = itertools.count()

    def told(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in said_of:
            return
        try:
            report = said_of[event](event, arguments)
        except BaseException:  # noqa: BLE001 -- what leaves here takes these frames along, and all that they hold
            report = event, "what cannot be told"
        if report is None:
            return
        if report not in said or event in AGAIN:
            said.add(report)
            line = BETWEEN.join((str(next(numbers)), *report)).replace("\n", " ") + "\n"
            try:  # noqa: SIM105 -- suppress is Python's own code, which a candidate may replace
                write(descriptor, line.encode("utf-8", "replace"))
            except OSError:
                # A closed descriptor tells the parent enough: it sees the end of the stream.
                pass
        if event in _SIGNALS and arguments[0] in judges:
            raise PermissionError("a candidate may send no signal to who judges it")

    return told


def _opened(reads: Callable[[str], bool], writes: Callable[[str], bool]) -> _Told:
    """What is reported of an opening: memory and forbidden files however, guarded ones where they may be written."""
    memory, places_of = _MEMORY.fullmatch, _resolver()

    def told(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        path = arguments[0]
        # A descriptor was opened by an event of its own.
        if issubclass(type(path), int):
            return None
        # FileIO alone tells of the object it is given, whose answer is the kernel's: it may be another the second time.
        if not issubclass(type(path), str | bytes):
            return event, "a path that an object alone can tell"
        place = places_of(path)[0]
        if memory(place) is not None or reads(place):
            return event, place
        return (WRITTEN, place) if arguments[2] & _WRITING and writes(place) else None

    return told


def _changed(writes: Callable[[str], bool]) -> dict[str, _Told]:
    """What is reported of each event that changes a file by its path, by the event."""
    places_of = _resolver()

    def teller(stands: tuple[tuple[int, int | None], ...]) -> _Told:
        def told(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
            for path, folder in stands:
                for place in places_of(arguments[path], -1 if folder is None else arguments[folder]):
                    if writes(place):
                        return event, place
            return None

        return told

    return {event: teller(stands) for event, stands in CHANGES.items()}


def _spoken() -> dict[str, _Told]:
    """What is reported of each event that is reported wherever it happens, by the event."""
    own = os.getpid()

    def asked(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        name = _plain(arguments[1])
        return (event, name) if name in LIBRARY else None

    def told(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        return event, ", ".join(_short(value) for value in arguments)[:_MOST_ARGUMENT]

    def there(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        return event, _plain(arguments[0])

    def made(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        family = arguments[1]
        return told(event, arguments) if type(family) is int and family in FAMILIES else None

    def limited(event: str, arguments: tuple[Any, ...]) -> tuple[str, str] | None:
        # Its own limits are a process's loss; workers to come inherit those of who forks them.
        whose = arguments[0]
        return None if type(whose) is int and (whose in {0, own}) else told(event, arguments)

    some: dict[str, _Told] = {"ctypes.dlsym": asked, "socket.__new__": made, "resource.prlimit": limited}
    return {**some, STILL_THERE: there, **dict.fromkeys(REPORTED, told)}


def _resolver() -> Callable[..., tuple[str, str]]:
    """Returns what gives the real path that a path leads to, and that of the name itself, which may be a link."""
    paths = apart(posixpath.__file__)
    realpath, split, join = paths["realpath"], paths["split"], paths["join"]

    def places(path: Any, folder: int = -1) -> tuple[str, str]:  # noqa: ANN401 -- what an event tells of
        """A number is an open file. A relative path starts from the open `folder`, where one is given."""
        name = f"/proc/self/fd/{path:d}" if issubclass(type(path), int) else _plain(path)
        if folder >= 0:
            name = join(f"/proc/self/fd/{folder:d}", name)
        above, last = split(name)
        return realpath(name), join(realpath(above), last)

    return places


def _plain(text: Any) -> str:  # noqa: ANN401 -- whatever an event tells of
    """A text as a `str` and nothing more: the methods of a class derived from it would be the kernel's."""
    # Not isinstance, which asks an object for its class as well.
    if issubclass(type(text), bytes):
        return bytes.decode(text, "utf-8", "surrogateescape")
    return str.__str__(text) if issubclass(type(text), str) else ""


def _short(value: object) -> str:
    """A plain value, or a tuple of them (an address), as it reads, anything else as an object.

    `repr` of a kernel's would run its code.
    """
    plain = all(_is_plain(item) for item in value) if type(value) is tuple else _is_plain(value)
    return repr(value) if plain else "an object"


def _is_plain(value: object) -> bool:
    kind = type(value)
    # Not by a set, which asks the class for its hash.
    return kind is str or kind is bytes or kind is int or value is None
