"""Sockets that obey a pacer: a client's connection, the one to the target, and the way between.

Each direction is a `Lane`: it reads a piece when the pacer lets it, keeps it until it has arrived,
and writes it. What waits in a lane is bounded, and so are the sockets' buffers, so that a sender
soon feels a slow link or a receiver that does not read. Ends and resets travel like bytes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Literal

from edgewise.network.shaping.loop import READ, SLACK_MS, WRITE, Loop
from edgewise.network.shaping.meter import Meter
from edgewise.network.shaping.pacing import Flow, Wire

#: What a lane may hold above what the link itself holds.
_LANE_BYTES = 256 * 1024
#: Being late costs no capacity up to this much: more would be a burst that no link has.
_LATE_MS = 100.0
#: A lane that catches up lets the others go on after so many pieces.
_PIECES = 16
#: The first byte of a TLS record that carries a handshake.
_TLS_HANDSHAKE = b"\x16"

Mark = Literal["end", "reset"]


class End:
    """A socket and what the loop watches it for."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self.sock = sock
        self.on_readable: Callable[[], None] = _nothing
        self.on_writable: Callable[[], None] = _nothing
        self._loop, self._events = loop, 0
        sock.setblocking(False)

    def want(self, event: int, wanted: bool) -> None:
        """Watch for an event, or no longer."""
        events = self._events | event if wanted else self._events & ~event
        if events != self._events:
            self._events = events
            self._loop.watch(self.sock, events, self._on_event)

    def close(self, *, reset: bool) -> None:
        """Close the socket; `reset`: the peer is told that it was not in order."""
        self.want(READ | WRITE, False)
        if reset:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _on_event(self, events: int) -> None:
        if events & self._events & READ:
            self.on_readable()
        if events & self._events & WRITE:
            self.on_writable()


class Lane:
    """One direction: from a source through a flow to a sink."""

    def __init__(
        self,
        relay: Relay,
        flow: Flow,
        ends: tuple[End, End],
        meter: Meter,
        on_first: Callable[[bytes], None] | None = None,
    ) -> None:
        """`ends`: source and sink. `on_first` is shown the first byte as soon as it is there."""
        self._on_first = on_first
        self.flow, self.done = flow, False
        self._relay, self._loop = relay, relay.loop
        (self._source, self._sink), self._meter = ends, meter
        self._under_way: deque[tuple[float, bytes | Mark]] = deque()
        self._bytes, self._limit_bytes = 0, _LANE_BYTES + flow.held_bytes
        self._starved, self._full, self._delivering = True, False, False
        self._source.on_readable = self.take
        self._sink.on_writable = self.deliver

    def start(self) -> None:
        """Wait for the source's first byte."""
        self._source.want(READ, True)

    def stop(self) -> None:
        """The sink is gone: take no more, drop what is under way."""
        self._source.want(READ, False)
        self._full = True
        self._under_way.clear()

    def take(self) -> None:
        """Read what may be sent by now; the rest when its time has come."""
        if self._relay.closed or self._full:
            return
        if self._on_first is not None and not self._show_first(self._on_first):
            return
        for _ in range(_PIECES):
            now_ms = self._loop.now_ms()
            if self.flow.ready_ms > now_ms + SLACK_MS:
                break
            at_ms = now_ms if self._starved else max(self.flow.ready_ms, now_ms - _LATE_MS)
            if not self._take_piece(at_ms):
                return
        # What is there until then counts as offered then, however late this wakes up.
        self._starved = False
        self._source.want(READ, False)
        self._loop.at(self.flow.ready_ms, self.take)

    def _take_piece(self, at_ms: float) -> bool:
        """Read and send one piece; False: there was none, or there is no room for another."""
        try:
            piece = self._source.sock.recv(self.flow.allowance(at_ms))
        except (BlockingIOError, InterruptedError):
            self._starved = True
            self._source.want(READ, True)
            return False
        except OSError:
            self._finish("reset", at_ms)
            return False
        if not piece:
            self._finish("end", at_ms)
            return False
        self._starved = False
        self._send(self.flow.offer(at_ms, len(piece)).arrives_ms, piece)
        self._bytes += len(piece)
        if self._bytes < self._limit_bytes:
            return True
        self._full = True
        self._source.want(READ, False)
        return False

    def _show_first(self, on_first: Callable[[bytes], None]) -> bool:
        """Peek at the first byte; False: it is not there yet."""
        try:
            first = self._source.sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self._finish("reset", self._loop.now_ms())
            return False
        self._on_first = None
        on_first(first)
        return True

    def _finish(self, mark: Mark, at_ms: float) -> None:
        self._source.want(READ, False)
        self._send(self.flow.closed_at(at_ms), mark)

    def _send(self, arrives_ms: float, what: bytes | Mark) -> None:
        self._under_way.append((arrives_ms, what))
        if not self._delivering:
            self._delivering = True
            self._loop.at(arrives_ms, self.deliver)

    def deliver(self) -> None:
        """Write what has arrived by now."""
        while self._under_way and not self._relay.closed:
            arrives_ms, what = self._under_way[0]
            if arrives_ms > self._loop.now_ms() + SLACK_MS:
                self._sink.want(WRITE, False)
                self._loop.at(arrives_ms, self.deliver)
                return
            if not isinstance(what, bytes):
                self._under_way.clear()
                self._deliver_mark(what)
                return
            if not self._write(arrives_ms, what):
                return
        self._delivering = False
        self._sink.want(WRITE, False)

    def _write(self, arrives_ms: float, piece: bytes) -> bool:
        """Write a piece; False: not all of it could be."""
        try:
            written = self._sink.sock.send(piece)
        except (BlockingIOError, InterruptedError):
            written = 0
        except OSError:
            self._relay.lost_sink(self)
            return False
        self._meter.add(self._loop.now_ms(), written)
        self._bytes -= written
        if written < len(piece):
            self._under_way[0] = (arrives_ms, piece[written:])
            self._sink.want(WRITE, True)
            return False
        self._under_way.popleft()
        if self._full and self._bytes <= self._limit_bytes // 2:
            self._full, self._starved = False, True
            self._loop.at(self.flow.ready_ms, self.take)
        return True

    def _deliver_mark(self, mark: Mark) -> None:
        self._sink.want(WRITE, False)
        if mark == "reset":
            self._relay.close(reset=True)
            return
        self.done = True
        with contextlib.suppress(OSError):  # its peer has gone in the meantime
            self._sink.sock.shutdown(socket.SHUT_WR)
        self._relay.close_if_done()


class Relay:
    """A client's connection and the one to the target, joined by the link."""

    def __init__(
        self,
        loop: Loop,
        wire: Wire,
        client: socket.socket,
        target: socket.socket,
        meters: tuple[Meter, Meter],
        on_close: Callable[[Relay], None],
    ) -> None:
        """Both sockets are connected; `meters` count the bytes of uplink and downlink."""
        self.loop, self.closed = loop, False
        self._wire, self._on_close = wire, on_close
        self._ends = End(loop, client), End(loop, target)
        near, far = self._ends
        self._up = Lane(self, wire.up, (near, far), meters[0], self._on_first)
        self._down = Lane(self, wire.down, (far, near), meters[1])
        self._up.start()
        self._down.start()

    def lost_sink(self, lane: Lane) -> None:
        """A lane's receiver is gone: its sender learns that when word of it has come back."""
        lane.stop()
        back = self._down if lane is self._up else self._up
        self.loop.at(back.flow.closed_at(self.loop.now_ms()), lambda: self.close(reset=True))

    def close_if_done(self) -> None:
        """Close when both directions have ended in order."""
        if self._up.done and self._down.done:
            self.close(reset=False)

    def close(self, *, reset: bool) -> None:
        """Close both sockets at once."""
        if self.closed:
            return
        self.closed = True
        for end in self._ends:
            end.close(reset=reset)
        self._on_close(self)

    def _on_first(self, byte: bytes) -> None:
        """The client begins to speak: TLS brings the flights of its handshake along."""
        if byte == _TLS_HANDSHAKE:
            self._wire.shake_hands(1)


def _nothing() -> None:
    """What an end does before it has a lane."""
