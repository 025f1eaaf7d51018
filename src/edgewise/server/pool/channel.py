"""The service's end of the socket to a worker: commands out, replies in, in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edgewise.errors import WorkerFailed
from edgewise.server.pool import frames
from edgewise.server.pool.frames import Command, Reply

Answered = Callable[[Reply | WorkerFailed], None]
_CHUNK = 1 << 16


@dataclass(slots=True)
class _Asked:
    """A command without its reply. `about` is the variant that it concerns."""

    answered: Answered
    about: str | None
    seconds: float


class Channel:
    """A stream of commands and their replies over a socket, on the running loop.

    `broken` is called once, with the reason in words ("" where the peer just went away), as soon as
    the stream ends or breaks the protocol. What is then still asked stays so until `abandon`.
    """

    def __init__(self, stream: socket.socket, broken: Callable[[str], None]) -> None:
        stream.setblocking(False)
        self._stream = stream
        self._broken: Callable[[str], None] | None = broken
        self._loop = asyncio.get_running_loop()
        self._splitter = frames.Splitter()
        self._asked: deque[_Asked] = deque()
        self._unsent = bytearray()
        self._since = 0.0
        self._loop.add_reader(stream.fileno(), self._readable)

    def ask(self, command: Command, answered: Answered, about: str | None, seconds: float) -> None:
        """Send a command; `answered` is called with its reply, or when all hope is lost.

        `seconds` is what the peer may take for it once it is at it.
        """
        if not self._asked:
            self._since = self._loop.time()
        self._asked.append(_Asked(answered, about, seconds))
        if self._broken is not None:
            self._send(frames.encode(command))

    @property
    def idle(self) -> bool:
        """Whether nothing is asked."""
        return not self._asked

    @property
    def about(self) -> str | None:
        """The variant that the peer is at."""
        return self._asked[0].about if self._asked else None

    @property
    def overdue_s(self) -> float | None:
        """The limit that the peer has exceeded, None where it has not."""
        if not self._asked or self._loop.time() - self._since <= self._asked[0].seconds:
            return None
        return self._asked[0].seconds

    def close(self) -> None:
        """Hear and say no more."""
        if self._broken is not None:
            self._broken = None
            self._loop.remove_reader(self._stream.fileno())
            self._loop.remove_writer(self._stream.fileno())
            self._stream.close()

    def abandon(self, cause: WorkerFailed) -> None:
        """Everything still asked has failed."""
        while self._asked:
            self._loop.call_soon(self._asked.popleft().answered, cause)

    def _break(self, why: str) -> None:
        broken = self._broken
        self.close()
        if broken is not None:
            broken(why)

    def _send(self, frame: bytes) -> None:
        if self._unsent:
            self._unsent += frame
            return
        sent = 0
        # A peer that is gone is noticed by reading.
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            sent = self._stream.send(frame)
        if sent < len(frame):
            self._unsent += frame[sent:]
            self._loop.add_writer(self._stream.fileno(), self._writable)

    def _writable(self) -> None:
        try:
            del self._unsent[: self._stream.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()
        if not self._unsent:
            self._loop.remove_writer(self._stream.fileno())

    def _readable(self) -> None:
        try:
            part = self._stream.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            self._break("")
            return
        try:
            replies = [frames.reply(content) for content in self._splitter.feed(part)]
            if len(replies) > len(self._asked):
                raise ValueError("a reply to nothing")
        except ValueError as error:
            self._break(f"broke the protocol: {error}")
            return
        self._since = self._loop.time()
        for reply in replies:
            self._asked.popleft().answered(reply)
