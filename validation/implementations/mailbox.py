"""The parent's end of a worker's channel: one request, one answer, a deadline, and why no answer came."""

from __future__ import annotations

import os
import secrets
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from validation.implementations import spawn
from validation.implementations.failure import ImplementationFailed, WorkerEnded
from validation.implementations.worker import frames
from validation.implementations.worker.hook import BETWEEN, STILL_THERE

if TYPE_CHECKING:
    from validation.implementations.spawn import Spawned
    from validation.implementations.worker.frames import Message

#: How much of what a kernel printed is kept to be shown.
_KEPT_OUTPUT: Final = 4000

#: Of a process that a worker which ended by itself left behind, without its mark.
LEFT_BEHIND: Final = "left a process"

#: After the channel closed, a dying process is given this long to be gone: under a load of 15 on two cores an
#: interpreter with torch in it took more than 2 s.
_GRACE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """Something a candidate did that its process reported: the audit event, its argument, and during which stage."""

    event: str
    argument: str
    stage: str


class Mailbox:
    """Asks one worker, and reads what it prints and what is reported of it meanwhile."""

    def __init__(self, spawned: Spawned) -> None:
        """Speaks with `spawned`, which it does not start or end except at a deadline."""
        self._spawned = spawned
        self._received = b""
        self._output = b""
        self._reports = b""
        self._stage = "start"
        self._token = ""
        self._lines = 0
        self._word = ""
        self._missed = False
        self.doings: list[Doing] = []
        self.reports_closed = False

    def post(self, request: str, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        """Sends a request; `answer` waits for what comes of it.

        Raises:
            WorkerEnded: the worker is dead, or said something unasked.
        """
        self._stage, self._token = _STAGES.get(request, request), secrets.token_hex(8)
        if self._received or self._readable():
            raise self._ended("wrote into the result channel, unasked")
        try:
            frames.send(self._spawned.channel, {**message, "request": request, "token": self._token}, descriptors)
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended(None) from None

    def answer(self, *, seconds: float, memory_bytes: int) -> Message:
        """Returns the answer to the request that was posted.

        Raises:
            ImplementationFailed: the kernel raised, or gave a bad result.
            WorkerEnded: the worker died, said what no worker says, or did not answer within `seconds`.
        """
        try:
            answer = self._next_frame(time.monotonic() + seconds, seconds)
        except ConnectionResetError:
            raise self._ended(None) from None
        except frames.MalformedFrame as malformed:
            raise self._ended(f"wrote into the result channel: {malformed}") from None
        if answer.pop("token", None) != self._token:
            raise self._ended("wrote into the result channel: an answer to no question")
        self._drain()
        if "error" in answer:
            cause = str(answer["error"])
            if answer.get("memory"):
                cause = f"memory limit of {memory_bytes / 2**30:.3g} GiB ({cause})"
            raise ImplementationFailed(self._stage, cause, self.output)
        return answer

    def end(self) -> None:
        """Ends the worker, if it lives, and all that it left behind; ending twice is harmless."""
        left = spawn.end(self._spawned)
        self.doings += [Doing(event=LEFT_BEHIND, argument=one, stage=self._stage) for one in left]

    def heard(self, word: str) -> bool:
        """Returns whether the hook told this word last when it was asked whether it is there, and no report is missing.

        Reports are numbered: those that were led elsewhere meanwhile are missing.
        """
        return self._word == word and not self._missed

    @property
    def output(self) -> str:
        """The last lines the kernel printed, to either stream."""
        return self._output.decode(errors="replace").strip()

    def _next_frame(self, deadline: float, seconds: float) -> Message:
        while True:
            if len(self._received) >= frames.HEADER.size:
                end = frames.HEADER.size + frames.body_bytes(self._received[: frames.HEADER.size])
                if len(self._received) >= end:
                    body, self._received = self._received[frames.HEADER.size : end], self._received[end:]
                    return frames.decode(body)
            self._wait(deadline, seconds)
            part = self._spawned.channel.recv(1 << 16)
            if not part:
                raise self._ended(None)
            self._received += part

    def _wait(self, deadline: float, seconds: float) -> None:
        """Returns once the channel can be read; the pipes are emptied meanwhile, lest a chatty kernel block."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._ended(f"time limit of {seconds:g} s")
            poll = select.poll()
            poll.register(self._spawned.channel, select.POLLIN)
            poll.register(self._spawned.output, select.POLLIN)
            if not self.reports_closed:
                poll.register(self._spawned.reports, select.POLLIN)
            ready = [descriptor for descriptor, _event in poll.poll(min(left, 1.0) * 1000)]
            self._drain()
            if self._spawned.channel.fileno() in ready:
                return
            if not ready and self._spawned.process.poll() is not None:
                # Dead, with the channel held open by a descendant.
                raise self._ended(None)

    def _readable(self) -> bool:
        poll = select.poll()
        poll.register(self._spawned.channel, select.POLLIN)
        # The end of the stream is readable too, and is no message: the request will find it.
        return any(event & select.POLLIN and not event & select.POLLHUP for _descriptor, event in poll.poll(0))

    def _drain(self) -> None:
        self._output = (self._output + _read_all(self._spawned.output)[0])[-_KEPT_OUTPUT:]
        reported, closed = _read_all(self._spawned.reports)
        self.reports_closed |= closed
        *lines, self._reports = (self._reports + reported).split(b"\n")
        for line in lines:
            number, event, argument = (*line.decode(errors="replace").split(BETWEEN, 2), "", "")[:3]
            self._missed |= number != str(self._lines)
            self._lines += 1
            if event == STILL_THERE:
                self._word = argument
            else:
                self.doings.append(Doing(event=event or number, argument=argument, stage=self._stage))

    def _ended(self, cause: str | None) -> WorkerEnded:
        """The named cause; `cause` None asks the process itself. Nothing of the worker is left afterwards."""
        if cause is None:
            cause = self._way_of_dying()
        with suppress(OSError):
            self._drain()
        self.end()
        return WorkerEnded(self._stage, cause, self.output)

    def _way_of_dying(self) -> str:
        deadline = time.monotonic() + _GRACE_S
        while (code := self._spawned.process.poll()) is None:
            if time.monotonic() > deadline:
                return "closed its result channel"
            time.sleep(0.005)
        if code >= 0:
            return f"exited with code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"killed by signal {name}"


#: What a request is called where its failure is told.
_STAGES: Final = {"lay": "forward", "call": "forward", "tell": "forward", "load": "import"}


def _read_all(descriptor: int) -> tuple[bytes, bool]:
    """What waits in a pipe, and whether its other end is closed."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return b"".join(parts), False
        if not part:
            return b"".join(parts), True
        parts.append(part)
