"""One worker process as the service sees it: started, spoken to, listened to, reaped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

from edgewise import sandbox
from edgewise.errors import WorkerFailed
from edgewise.server.pool.arena import Area
from edgewise.server.pool.channel import Channel

_PROGRAM = "from edgewise.server.pool import worker; worker.serve()"
_CHUNK = 1 << 16
#: How long a worker that hung up may take to end by itself, and a killed one to be gone.
_GRACE_S = 0.2
_GONE_S = 2.0
_POLL_S = 0.002
#: How a death is told that the worker's own work may have nothing to do with.
FROM_OUTSIDE = "(from outside, or by the system for want of memory)"
#: Numerical libraries that start threads on import: the runtimes have their own.
_QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class WorkerProcess:
    """A process with its connection and its two shared areas.

    `lost` is called once when it is dead, with the cause in words and the variant that it was at;
    what was asked of it fails after that. To be made on the loop's own thread: on Linux a worker
    dies with the thread that started it.
    """

    def __init__(self, lost: Callable[[str, str | None], None]) -> None:
        self._lost = lost
        self._log = bytearray()
        self._reaping: asyncio.Task[None] | None = None
        self.requests = Area.create("edgewise-requests")
        self.replies = Area.create("edgewise-replies")
        ours, theirs = socket.socketpair()
        try:
            self._process = self._start(theirs)
        except OSError:
            ours.close()
            self.requests.close()
            self.replies.close()
            raise
        finally:
            theirs.close()
        assert self._process.stdout is not None
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._output.fileno(), self._listen)
        self.connection = Channel(ours, self.end)

    def _start(self, control: socket.socket) -> subprocess.Popen[bytes]:
        handed = (control.fileno(), self.requests.descriptor, self.replies.descriptor)
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, *map(str, handed), str(os.getpid())],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=handed, start_new_session=True, env={**os.environ, **_QUIET},
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it takes commands. One that does not is about to be `lost`."""
        return self._reaping is None

    def end(self, why: str) -> None:
        """Kill it and say why; without a reason, it hung up: find out why."""
        if self._reaping is None:
            about = self.connection.about
            self.connection.close()
            self._reaping = self._loop.create_task(self._reap(why, about))

    async def ended(self) -> None:
        """Until it is reaped."""
        if self._reaping is not None:
            await self._reaping

    async def _reap(self, why: str, about: str | None) -> None:
        if not why:
            await self._wait(_GRACE_S)
        self._kill()
        await self._wait(_GONE_S)
        self._hang_up()
        cause = self._words(why)
        self._lost(cause, about)
        self.connection.abandon(WorkerFailed(cause))

    async def _wait(self, seconds: float) -> None:
        """Until it is dead, at most so long. Polled: it is short, and takes no thread."""
        end = self._loop.time() + seconds
        while self._process.poll() is None and self._loop.time() < end:
            await asyncio.sleep(_POLL_S)

    def _kill(self) -> None:
        """Kill the whole group, also what a runtime may have started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _hang_up(self) -> None:
        self._listen()
        self._loop.remove_reader(self._output.fileno())
        self._output.close()
        self.requests.close()
        self.replies.close()

    def _listen(self) -> None:
        """Take what it and its libraries print, so that they never wait; keep the end."""
        try:
            part = os.read(self._output.fileno(), _CHUNK)
        except BlockingIOError:
            return
        if not part:  # it closed its output, or is dead: a reader would be called for ever
            self._loop.remove_reader(self._output.fileno())
        self._log += part
        del self._log[: -sandbox.LOG_BYTES]

    def _words(self, why: str) -> str:
        lines = self._log.decode("utf-8", "replace").strip().splitlines()
        said = [line.strip() for line in lines if not line.startswith("INFO")]
        if why:
            return f"the worker process {why}"
        if sandbox.OUT_OF_MEMORY.search("\n".join(said)):
            return "the worker process ran out of memory"
        last = f": {said[-1][:300]}" if said else ""
        return f"the worker process {_ending(self._process.returncode)}{last}"


def _ending(status: int | None) -> str:
    words = sandbox.status_words(status)
    if status == -signal.SIGKILL:
        return f"was {words} {FROM_OUTSIDE}"
    return f"was {words}" if status is not None and status < 0 else words
