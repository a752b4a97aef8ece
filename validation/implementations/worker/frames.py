"""Frames on the channel between parent and worker: a length, then JSON. Both ends use this file."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Final

#: The first bytes of every frame: what a kernel prints into the channel is not mistaken for one.
MAGIC: Final = b"moe\x00"
HEADER: Final = struct.Struct("!4sI")

#: A block of 10,000 calls answers with about 0.3 MB; more than this is no answer of ours.
MOST_BYTES: Final = 16 << 20

#: File descriptors sent along one frame: staging and arena, or weights.
MOST_DESCRIPTORS: Final = 4

Message = dict[str, Any]


class MalformedFrame(Exception):  # noqa: N818 -- what came is a frame, not an error of ours
    """The channel held something that no end of ours wrote."""


def encode(message: Message) -> bytes:
    """Returns the frame of `message`."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return HEADER.pack(MAGIC, len(body)) + body


def send(channel: socket.socket, message: Message, descriptors: tuple[int, ...] = ()) -> None:
    """Sends one frame; the descriptors ride on its first bytes."""
    frame = encode(message)
    sent = socket.send_fds(channel, [frame], descriptors) if descriptors else 0
    channel.sendall(frame[sent:])


def body_bytes(header: bytes) -> int:
    """Returns the length of the body that `header` announces.

    Raises:
        MalformedFrame: it is no header.
    """
    magic, length = HEADER.unpack(header)
    if magic != MAGIC or length > MOST_BYTES:
        raise MalformedFrame(f"bytes {header!r} are no frame")
    return int(length)


def decode(body: bytes) -> Message:
    """Returns the message of a frame's body.

    Raises:
        MalformedFrame: it is no JSON object.
    """
    try:
        message = json.loads(body)
    except ValueError:
        raise MalformedFrame(f"bytes {body[:40]!r} are no JSON") from None
    if not isinstance(message, dict):
        raise MalformedFrame(f"{body[:40]!r} is no JSON object")
    return message


def receive(channel: socket.socket) -> tuple[Message, list[int]] | None:
    """Returns the next message and its descriptors, or None when the other end is gone. Blocks."""
    header, descriptors, _flags, _address = socket.recv_fds(channel, HEADER.size, MOST_DESCRIPTORS)
    header += _exactly(channel, HEADER.size - len(header)) if header else b""
    if len(header) < HEADER.size:
        return None
    length = body_bytes(header)
    body = _exactly(channel, length)
    return (decode(body), descriptors) if len(body) == length else None


def _exactly(channel: socket.socket, count: int) -> bytes:
    """`count` bytes, fewer only at the end of the stream."""
    parts: list[bytes] = []
    while count > 0:
        part = channel.recv(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
