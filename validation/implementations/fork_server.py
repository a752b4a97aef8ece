"""Workers forked from a process that has imported torch and nothing else: 0.06 s until one is ready, not 1.3.

That process (`worker/fork_server.py`) never loads a kernel. What an exec would draw anew and a fork does not, the
places of what is mapped from then on, each worker draws for itself; the code of libraries lies in the same physical
pages in either case.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from validation.cpu import available_cores
from validation.implementations.inherited import importable_paths
from validation.implementations.worker import frames

if TYPE_CHECKING:
    from collections.abc import Mapping

MAIN: Final = Path(__file__).parent / "worker" / "main.py"

#: One for each environment: of one thread and of all, which the tests and a full run take turns at. Each holds 100 MB.
_MOST: Final = 2

#: A fork server that forked nothing after this never will: importing torch took a minute under a load of 20.
_FORK_S: Final = 300.0

#: The channel is closed, or was left in the middle of a frame by an interrupt.
_BROKEN: Final = (OSError, frames.MalformedFrame)


class Child:
    """A worker that a fork server forked, as the server tells of it: `subprocess.Popen`, less what nobody asks."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        """The child `pid` of `server`."""
        self._server = server
        self.pid = pid

    @property
    def forker(self) -> int:
        """The process id of the server, whose child everything becomes that the worker leaves behind."""
        return self._server.pid

    def poll(self) -> int | None:
        """Returns its exit code, minus a signal's number if that killed it; None while it lives."""
        return self._server.exit_code(self.pid, wait=False)

    def wait(self) -> int:
        """Returns its exit code once it is gone."""
        code = self._server.exit_code(self.pid, wait=True)
        assert code is not None
        return code


class ForkServer:
    """A process with torch in it, and the workers it forked."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Starts the process; it imports torch while the caller does something else."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-S", "-B", str(MAIN), "fork_server", "3"]
        files = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
        # Its own session: an interrupt at the terminal is the suite's to handle.
        self.pid = os.posix_spawn(
            command[0],
            command,
            dict(environment),
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3), *files],
            setsid=True,
        )
        theirs.close()
        # At the end of the suite it ends by that.
        atexit.register(ours.close)
        self._channel = ours
        self._channel.settimeout(_FORK_S)
        self._living: set[int] = set()
        self._codes: dict[int, int] = {}
        self._lock = Lock()
        self.gone = False
        with suppress(OSError):
            frames.send(ours, {"paths": importable_paths(ours=False), "prefix": sys.prefix})

    @property
    def living(self) -> frozenset[int]:
        """The workers it forked of whose end it has not told."""
        return frozenset(self._living)

    @property
    def empty(self) -> bool:
        """Whether no worker it forked is alive."""
        for pid in tuple(self._living):
            self.exit_code(pid, wait=False)
        return not self._living

    def fork(self, mark: tuple[str, str], variables: Mapping[str, str], descriptors: tuple[int, int, int]) -> Child:
        """Returns a new worker.

        Its channel, its reports and its output go to the three descriptors. It is found by the variable `mark`, whose
        value is as long as that of the server's own.

        Raises:
            ConnectionError: the fork server is gone.
            OSError: the system forks no more.
        """
        message = {
            "mark": mark,
            "variables": dict(variables),
            "folder": os.getcwd(),  # noqa: PTH109 -- told as it is
            "cores": available_cores(),
        }
        with self._lock:
            try:
                frames.send(self._channel, message, descriptors)
                while not (answer := self._told()):
                    pass
            except _BROKEN as error:
                self._lost()
                raise ConnectionError(f"the process that forks workers is gone: {error}") from None
            if "error" in answer:
                raise OSError(int(answer["error"]), "a worker could not be forked")
            pid = int(answer["forked"])
            self._living.add(pid)
            # Numbers come again: how the former bearer of this one ended is nobody's question any more.
            self._codes.pop(pid, None)
        return Child(self, pid)

    def exit_code(self, pid: int, *, wait: bool) -> int | None:
        """Returns the exit code of a worker, or None while it lives and is not waited for."""
        with self._lock:
            while pid in self._living and (wait or select.select([self._channel], [], [], 0)[0]):
                try:
                    self._told()
                except _BROKEN:
                    self._lost()
            return self._codes.get(pid)

    def close(self) -> None:
        """Ends the process, and with it all its workers."""
        with self._lock:
            self._lost()

    def _told(self) -> frames.Message:
        """The server's next answer to a request; nothing if it told of an end."""
        received = frames.receive(self._channel)
        if received is None:
            raise ConnectionResetError("it closed its channel")
        message = received[0]
        if "ended" not in message:
            return message
        pid = int(message["ended"])
        self._living.discard(pid)
        self._codes[pid] = int(message["code"])
        return {}

    def _lost(self) -> None:
        """Nothing comes from it any more. Linux kills its children with it."""
        if self.gone:
            return
        self.gone = True
        self._channel.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._codes |= dict.fromkeys(self._living, -signal.SIGKILL)
        self._living.clear()


_servers: dict[tuple[tuple[str, str], ...], ForkServer] = {}


def fork_server(environment: Mapping[str, str]) -> ForkServer:
    """Returns the fork server of that environment, started when it is first asked for."""
    key = tuple(sorted(environment.items()))
    for other, one in tuple(_servers.items()):
        if one.gone or (other != key and len(_servers) >= _MOST and one.empty):
            _servers.pop(other).close()
    if key not in _servers:
        _servers[key] = ForkServer(environment)
    return _servers[key]


def forked(pid: int) -> frozenset[int] | None:
    """Returns the living workers of the fork server `pid`; None of a process that is none."""
    return next((one.living for one in tuple(_servers.values()) if one.pid == pid and not one.gone), None)
