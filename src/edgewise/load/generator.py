"""The open loop: every request leaves when it is due, whatever became of those before."""

from __future__ import annotations

import asyncio
import gc
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager

from edgewise.errors import InputError
from edgewise.load import links
from edgewise.load.device import Sending, SimulatedDevice
from edgewise.load.schedule import Schedule
from edgewise.load.settings import LoadSettings
from edgewise.load.timer import precise_timer
from edgewise.protocol.http.attempt import Attempt, now_ms
from edgewise.protocol.http.target import Target

#: How often requests that take too long are looked for, and progress is told.
_SWEEP_S = 0.1
#: From when connections are there to the first request, unless a start is given.
_HEAD_START_MS = 50.0
#: Connections opened beforehand: enough for what is under way at once, within bounds.
_FEWEST, _MOST = 1, 64
_MOST_OF_ALL = 512


class Generator:
    """Sends the requests of some clients of a schedule. `run` once."""

    def __init__(
        self,
        settings: LoadSettings,
        schedule: Schedule,
        target: Target,
        job: Sending,
        mine: Callable[[int], bool] = lambda client: True,
    ) -> None:
        self._settings, self._schedule, self._target, self._job = settings, schedule, target, job
        self._numbers = [i for i in range(len(schedule)) if mine(int(schedule.client[i]))]
        self._clients = [client for client in range(settings.clients) if mine(client)]
        self._next = 0
        self._start_ms = 0.0
        self._devices: dict[int, SimulatedDevice] = {}
        self._exchanges: list[Attempt] = []
        self._waiting: deque[Attempt] = deque()
        self._finished = 0
        self._stopped = False
        self._over = asyncio.Event()

    async def run(
        self,
        start: Callable[[], float] | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> tuple[float, list[Attempt]]:
        """Drive the load: when it started (monotonic, ms), and every exchange that ended.

        `start` is called when connections are there, and tells when the run starts; `advance` is
        told now and then how many exchanges ended since.

        Raises:
            InputError: the connection is refused at the target.
        """
        async with AsyncExitStack() as stack:
            await self._connect(stack)
            self._start_ms = start() if start else now_ms() + _HEAD_START_MS
            self._timer = precise_timer(self._ring)
            stack.callback(self._timer.close)
            with _undisturbed():
                self._set_timer()
                await self._watch(advance)
        return self._start_ms, [each for each in self._exchanges if each.finished]

    def stop(self) -> None:
        """Send no more and wait for nothing."""
        self._stopped = True
        self._over.set()

    async def _connect(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        ways = links.opened(
            self._target,
            settings.links,
            self._clients,
            settings.seed,
            realtime=settings.realtime,
        )
        for client, address in stack.enter_context(ways).items():
            device = SimulatedDevice(self._job, address, self._ended)
            stack.push_async_callback(device.close)
            self._devices[client] = device
            if self._job.keep:
                await self._warm(device)

    async def _warm(self, device: SimulatedDevice) -> None:
        try:
            await device.prepare(self._beforehand())
        except OSError as error:
            raise InputError(
                f"no connection to {self._target.url}: {error}",
                hint="is the service running, and is that its address?",
            ) from error

    def _beforehand(self) -> int:
        """Connections per client: twice what is under way on average (Little's law)."""
        settings = self._settings
        busy_s = (settings.sla_ms or 1000.0) / 1000
        each = 2 * self._schedule.arrivals.rate_per_s * busy_s / settings.clients
        return max(_FEWEST, min(math.ceil(each), _MOST, _MOST_OF_ALL // settings.clients))

    # -- sending ---------------------------------------------------------------------------------

    def _due_ms(self) -> float:
        return self._start_ms + float(self._schedule.due_ms[self._numbers[self._next]])

    def _set_timer(self) -> None:
        if self._next < len(self._numbers) and not self._stopped:
            self._timer.call_at(self._due_ms())

    def _ring(self) -> None:
        while self._next < len(self._numbers) and not self._stopped:
            due_ms, at_ms = self._due_ms(), now_ms()
            if due_ms > at_ms:
                break
            self._send(self._numbers[self._next], due_ms, at_ms)
            self._next += 1
        self._set_timer()

    def _send(self, number: int, due_ms: float, at_ms: float) -> None:
        client = int(self._schedule.client[number])
        which = int(self._schedule.input[number])
        size_bytes = self._job.bodies[which].size_bytes
        exchange = Attempt(number, client, which, size_bytes, due_ms, at_ms)
        self._exchanges.append(exchange)
        self._waiting.append(exchange)
        self._devices[client].send(exchange)

    # -- waiting ---------------------------------------------------------------------------------

    def _ended(self, exchange: Attempt) -> None:
        self._finished += 1
        if self._finished == len(self._numbers):
            self._over.set()

    async def _watch(self, advance: Callable[[int], None] | None) -> None:
        told = 0
        if not self._numbers:
            return
        while not self._over.is_set():
            try:
                await asyncio.wait_for(self._over.wait(), _SWEEP_S)
            except TimeoutError:
                self._sweep()
            if advance is not None and self._finished > told:
                advance(self._finished - told)
                told = self._finished

    def _sweep(self) -> None:
        """Give up on requests that take too long; the oldest stand first."""
        oldest_ms = now_ms() - self._settings.timeout_s * 1000
        while self._waiting and (
            self._waiting[0].finished or self._waiting[0].begun_ms < oldest_ms
        ):
            exchange = self._waiting.popleft()
            self._devices[exchange.client].give_up(exchange)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No garbage collection, which may take longer than a request may be late."""
    gc.collect()
    gc.freeze()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
