"""An event loop for one thread whose timers are exact to about a tenth of a millisecond.

asyncio's timers and libuv's end on whole milliseconds, which at 100 Mbps is eight packets late. So
does epoll; but `select` does not, and an epoll can itself be selected. Time is this loop's own: it
starts at zero and stands still while the loop is paused.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable

#: What is due within this time is done now: waking up costs as much.
SLACK_MS = 0.03

#: `select` takes descriptors below this; above, timers end on whole milliseconds.
_SELECTABLE = 1024

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Loop:
    """Runs `run` in one thread; `pause`, `resume` and `stop` are for the others."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._epoll_fd = _selectable(self._selector)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._waker, self._woken = socket.socketpair()
        for end in (self._waker, self._woken):
            end.setblocking(False)
        self._selector.register(self._woken, READ, self._on_woken)
        self._origin_ns = time.monotonic_ns()
        self._running = threading.Event()
        self._running.set()
        self._stopped = False

    def now_ms(self) -> float:
        """Milliseconds since the loop was made, without its pauses."""
        return (time.monotonic_ns() - self._origin_ns) / 1e6

    def at(self, due_ms: float, callback: Callable[[], None]) -> None:
        """Call back when it is `due_ms`; what is due together is called in the order of asking."""
        heapq.heappush(self._due, (due_ms, next(self._count), callback))

    def watch(self, sock: socket.socket, events: int, callback: Callable[[int], None]) -> None:
        """Call back with the events that a socket is ready for; no events: forget it."""
        known = sock.fileno() in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(sock)
        elif known:
            self._selector.modify(sock, events, callback)
        else:
            self._selector.register(sock, events, callback)

    def pause(self) -> None:
        """Time stands still, nothing moves."""
        self._running.clear()
        self._wake()

    def resume(self) -> None:
        """Time goes on where it stopped."""
        self._running.set()

    def stop(self) -> None:
        """Have `run` return, also from a pause."""
        self._stopped = True
        self._running.set()
        self._wake()

    def run(self) -> None:
        """Serve timers and sockets until `stop`."""
        while not self._stopped:
            self._sleep_through_a_pause()
            self._turn()

    def close(self) -> None:
        """Give the loop's own sockets back; call it when `run` has returned."""
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def _turn(self) -> None:
        for key, events in self._select(self._patience()):
            key.data(events)
        # What a callback makes due at once waits for the next turn: sockets come in between.
        for _ in range(len(self._due)):
            if self._due[0][0] > self.now_ms() + SLACK_MS or not self._running.is_set():
                return
            heapq.heappop(self._due)[2]()

    def _select(self, seconds: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        epoll = self._epoll_fd
        if seconds and epoll is not None:
            select.select([epoll], [], [], seconds)
            seconds = 0.0
        return self._selector.select(seconds)

    def _patience(self) -> float | None:
        """For how many seconds nothing is due; None: only sockets are waited for."""
        if not self._due:
            return None
        return max(self._due[0][0] - self.now_ms(), 0.0) / 1000

    def _sleep_through_a_pause(self) -> None:
        if self._running.is_set():
            return
        paused_ns = time.monotonic_ns()
        self._running.wait()
        self._origin_ns += time.monotonic_ns() - paused_ns

    def _on_woken(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass

    def _wake(self) -> None:
        # A full pipe wakes as well as one byte more; a closed one belongs to a loop that has ended.
        with contextlib.suppress(OSError):
            self._waker.send(b"x")


def _selectable(selector: selectors.BaseSelector) -> int | None:
    """An epoll's descriptor, if `select` takes it; None also where timers are exact anyway."""
    epoll = getattr(selectors, "EpollSelector", None)
    if epoll is None or not isinstance(selector, epoll):
        return None
    descriptor: int = selector.fileno()
    return descriptor if descriptor < _SELECTABLE else None
