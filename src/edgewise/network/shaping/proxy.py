"""The proxy: a port on loopback behind which a target is as far away as the link says."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable

from edgewise.errors import UsageError
from edgewise.network.capacity import BYTES_PER_MS
from edgewise.network.shaping.loop import READ, WRITE, Loop
from edgewise.network.shaping.meter import Counters, Meter
from edgewise.network.shaping.pacing import Pacer, Shape, Wire
from edgewise.network.shaping.relay import End, Relay

#: What a socket of the shaper may buffer: so much time at the link's rate, within bounds.
_BUFFER_MS = 20.0
_LEAST_BUFFER_BYTES = 32 * 1024
_MOST_BUFFER_BYTES = 1024 * 1024
#: Loopback's own segments of 64 KiB would not fit into such buffers.
_SEGMENT_BYTES = 1460
_BACKLOG = 1024
#: After running out of file descriptors.
_ACCEPT_AGAIN_MS = 100.0

Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]


def addresses(host: str, port: int) -> list[Address]:
    """What a host's name stands for.

    Raises:
        UsageError: nothing.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"the host '{host}' is not known: {error}") from error
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]


class Proxy:
    """Accepts, dials and relays, all in the thread that runs `loop`."""

    def __init__(self, loop: Loop, shape: Shape, targets: list[Address], listen: Address) -> None:
        """Bind, so that clients may connect at once.

        Raises:
            UsageError: the address to listen at is taken or not this machine's.
        """
        self._loop, self._targets = loop, targets
        self._pacer = Pacer(shape)
        self._up, self._down = Meter(), Meter()
        self._relays: set[Relay] = set()
        self._arrivals: set[Arrival] = set()
        self._connections = self._refused = 0
        self._listener = _listening(listen, shape)
        loop.watch(self._listener, READ, self._accept)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def counters(self) -> Counters:
        """What went through until now; from any thread."""
        now_ms = self._loop.now_ms()
        return Counters(
            connections=self._connections,
            open_connections=len(self._relays),
            refused=self._refused,
            uplink_bytes=self._up.total_bytes,
            downlink_bytes=self._down.total_bytes,
            uplink_mbps=self._up.mbps(now_ms),
            downlink_mbps=self._down.mbps(now_ms),
        )

    def close(self) -> None:
        """Close all sockets; connections that are open are reset."""
        self._loop.watch(self._listener, 0, self._accept)
        self._listener.close()
        for arrival in list(self._arrivals):
            arrival.close()
        for relay in list(self._relays):
            relay.close(reset=True)

    def _accept(self, _: int = READ) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError:  # out of descriptors or memory
                self._accept_later()
                return
            self._connections += 1
            wire = self._pacer.connect(self._loop.now_ms())
            arrival = Arrival(self._loop, client, wire, self._targets, self._dialled)
            self._arrivals.add(arrival)
            arrival.dial()

    def _accept_later(self) -> None:
        self._loop.watch(self._listener, 0, self._accept)
        again_ms = self._loop.now_ms() + _ACCEPT_AGAIN_MS
        self._loop.at(again_ms, lambda: self._loop.watch(self._listener, READ, self._accept))

    def _dialled(self, arrival: Arrival, target: socket.socket | None) -> None:
        self._arrivals.discard(arrival)
        if target is None:
            self._refused += 1
            return
        meters, gone = (self._up, self._down), self._relays.discard
        self._relays.add(Relay(self._loop, arrival.wire, arrival.client, target, meters, gone))


class Arrival:
    """A client that waits for its connection to the target."""

    def __init__(
        self,
        loop: Loop,
        client: socket.socket,
        wire: Wire,
        targets: list[Address],
        done: Callable[[Arrival, socket.socket | None], None],
    ) -> None:
        """`targets`: addresses to try in turn. `done` gets the target's socket, or None once the
        client was reset."""
        self.client, self.wire = client, wire
        self._loop, self._targets, self._done = loop, iter(targets), done
        self._target: End | None = None

    def dial(self) -> None:
        """Try the next address; a client whose target is dead is reset after a round trip."""
        address = next(self._targets, None)
        if address is None:
            self._loop.at(self.wire.refused_ms, self._refuse)
            return
        sock = socket.socket(address[0], socket.SOCK_STREAM)
        _bound(sock, self.wire.down.bytes_per_ms)
        self._target = End(self._loop, sock)
        self._target.on_writable = self._on_dialled
        if sock.connect_ex(address[1]) in (0, errno.EINPROGRESS):
            self._target.want(WRITE, True)
        else:
            self._next()

    def close(self) -> None:
        """Give up."""
        for end in (self._target, End(self._loop, self.client)):
            if end is not None:
                end.close(reset=True)
        self._target = None

    def _next(self) -> None:
        if self._target is not None:
            self._target.close(reset=False)
            self._target = None
            self.dial()

    def _on_dialled(self) -> None:
        assert self._target is not None
        sock = self._target.sock
        self._target.want(WRITE, False)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._next()
        else:
            self._done(self, sock)

    def _refuse(self) -> None:
        self._done(self, None)
        self.close()


def _bound(sock: socket.socket, bytes_per_ms: float) -> None:
    """Small buffers, before a socket listens or connects; and nothing waits to be filled up."""
    size = int(min(max(bytes_per_ms * _BUFFER_MS, _LEAST_BUFFER_BYTES), _MOST_BUFFER_BYTES))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # not settable here: larger segments, nothing worse
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)


def _listening(address: Address, shape: Shape) -> socket.socket:
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What a listener has set, its connections inherit.
        _bound(sock, shape.uplink.mean_mbps * BYTES_PER_MS)
        sock.bind(address[1])
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise UsageError(f"the shaper cannot listen at {address[1]}: {error}") from error
    sock.setblocking(False)
    return sock
