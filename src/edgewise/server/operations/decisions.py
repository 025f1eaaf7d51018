"""The decision log: every choice with its probability and what came of it, in a store.

The event loop puts the fields away, a thread writes them as lines to a process of their own
(`decision_writer.py`), and that one makes parts of the store: turning records into Parquet holds
Python's interpreter for milliseconds, which the requests would wait for. What was handed over is
stored even if the service is killed.
"""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple

import msgspec

from edgewise.records import Decision
from edgewise.server.events import Answered, Cancelled, Event, Failed, RefusedEvent
from edgewise.server.operations.outbox import Outbox
from edgewise.store import Store

_LOG = logging.getLogger(__name__)
_WAITING = 8192
_EVERY_S = 0.25
#: Between attempts to start a writer that died.
_RESTART_S = 10.0


class _Kept(NamedTuple):
    """What a decision needs of an event; not the event, which holds the tensors of the answer."""

    at_ms: float
    fields: dict[str, Any]


class WriterReport(msgspec.Struct):
    """What the writer says after each part: how many records it stored or gave up, and why."""

    stored: int = 0
    lost: int = 0
    error: str = ""


class DecisionLog:
    """Appends a `Decision` for each request to the store at `url`, in parts.

    A store that cannot be written (a full disk) costs records, which are counted and warned of,
    never a request.

    Raises:
        StoreError: there is no store at `url` and none can be made.
    """

    def __init__(
        self,
        url: str,
        policy: str,
        *,
        records_per_part: int = 4096,
        seconds_per_part: float = 30.0,
    ) -> None:
        Store.open(url, create=True)
        self.stored = 0
        self._policy = policy
        self._writer = _Writer(url, records_per_part, seconds_per_part, self._reported)
        self._unsent = 0
        self._lost = 0
        self._handlers: dict[type[Any], Callable[[Any], _Kept | None]] = {
            Answered: _answered,
            RefusedEvent: _rejected,
            Failed: _failed,
            Cancelled: _cancelled,
        }
        self._outbox: Outbox[_Kept] = Outbox(
            "edgewise-decisions", self._hand_over, limit=_WAITING, every_s=_EVERY_S
        )

    @property
    def dropped(self) -> int:
        """Records that were lost: the store could not be written, or not fast enough."""
        return self._outbox.dropped + self._unsent + self._lost

    def listen(self, event: Event) -> None:
        """Put an event away."""
        if (handler := self._handlers.get(type(event))) and (kept := handler(event)):
            self._outbox.put(kept)

    def close(self, timeout_s: float = 10.0) -> None:
        """Store what waits. What the store does not take within the timeout is lost."""
        until = time.monotonic() + timeout_s
        if not self._outbox.close(timeout_s):
            self._writer.kill()
        self._writer.close(max(until - time.monotonic(), 0.1))
        if self.dropped:
            _LOG.warning("the decision log lost %d of its records", self.dropped)

    def _hand_over(self, batch: list[_Kept]) -> None:
        if not batch:
            return
        ahead_s = time.time() - time.monotonic()
        lines = [
            msgspec.json.encode(
                Decision(
                    at=datetime.fromtimestamp(ahead_s + kept.at_ms / 1000, UTC).isoformat(),
                    policy=self._policy,
                    **kept.fields,
                )
            )
            for kept in batch
        ]
        if not self._writer.send(lines):
            self._unsent += len(lines)

    def _reported(self, report: WriterReport) -> None:
        self.stored += report.stored
        self._lost += report.lost
        if report.error:
            _LOG.warning("decision log: %s", report.error)


class _Writer:
    """The process that writes, started again when it dies. `send` may block, so in a thread."""

    def __init__(
        self, url: str, records: int, seconds: float, reported: Callable[[WriterReport], None]
    ) -> None:
        self._command = [
            sys.executable, "-m", "edgewise.server.operations.decision_writer", url,
            str(records), str(seconds),
        ]  # fmt: skip
        self._reported = reported
        self._sent = self._accounted = 0
        self._started_at = -_RESTART_S
        self._process: subprocess.Popen[bytes] | None = None

    def send(self, lines: list[bytes]) -> bool:
        """Hand lines over; False where there is no writer to take them."""
        pipe = self._pipe()
        if pipe is None:
            return False
        content = memoryview(b"\n".join(lines) + b"\n")
        try:
            while content:
                content = content[os.write(pipe.fileno(), content) :]
        except OSError:  # it died; what it had read is lost or in its last report
            return False
        self._sent += len(lines)
        return True

    def kill(self) -> None:
        """End it at once; a `send` that waits for it ends too."""
        if self._process is not None:
            self._process.kill()

    def close(self, timeout_s: float) -> None:
        """Let it store what it has, and end it."""
        process = self._process
        if process is None:
            return
        assert process.stdin
        process.stdin.close()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._listener.join(timeout_s)

    def _pipe(self) -> IO[bytes] | None:
        if self._process is not None and self._process.poll() is None:
            return self._process.stdin
        if time.monotonic() - self._started_at < _RESTART_S:
            return None
        return self._start()

    def _start(self) -> IO[bytes] | None:
        self._started_at = time.monotonic()
        try:
            process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            self._reported(WriterReport(error=f"its writer cannot be started: {error}"))
            return None
        self._process, self._sent, self._accounted = process, 0, 0
        self._listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._listener.start()
        return process.stdin

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Pass reports on; at the end, what the writer took and never accounted for is lost."""
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                report = msgspec.json.decode(line, type=WriterReport)
                self._accounted += report.stored + report.lost
                self._reported(report)
        if (missing := self._sent - self._accounted) > 0:
            self._reported(
                WriterReport(lost=missing, error=f"its writer died with {missing} records")
            )


def _kept(
    event: Answered | RefusedEvent | Failed | Cancelled, outcome: str, **fields: Any
) -> _Kept:
    """What every outcome has, and its own fields."""
    common = {
        "request_id": event.request_id,
        "family": event.family,
        "outcome": outcome,
        "sla_ms": event.sla_ms,
        "pinned": event.model != event.family,
    }
    return _Kept(event.at_ms, {**common, **fields})


def _answered(event: Answered) -> _Kept:
    result = event.result
    return _kept(
        event,
        "answered",
        budget_ms=result.budget_ms,
        basis=result.basis,
        backlog_ms=event.backlog_ms,
        queue_length=event.queue_length,
        variant=result.variant,
        probability=result.probability,
        probabilities=dict(event.probabilities),
        probe=event.probe,
        accuracy=result.accuracy,
        queue_ms=result.queue_ms,
        inference_ms=result.inference_ms,
        service_ms=result.preprocess_ms + result.inference_ms,
        total_ms=event.total_ms,
        in_time=result.in_time,
    )


def _rejected(event: RefusedEvent) -> _Kept:
    return _kept(
        event,
        "shed",
        budget_ms=event.budget_ms,
        basis=event.basis,
        backlog_ms=event.backlog_ms if math.isfinite(event.backlog_ms) else None,
        queue_length=event.queue_length,
        queue_ms=event.waited_ms,
        reason=event.reason,
    )


def _failed(event: Failed) -> _Kept | None:
    """A failure after the choice; a request that was refused for its form was no decision."""
    if event.variant is None:
        return None
    return _kept(
        event,
        "failed",
        budget_ms=event.budget_ms,
        basis=event.basis,
        variant=event.variant,
        probability=event.probability,
        probabilities=dict(event.probabilities),
        total_ms=event.total_ms,
        reason=event.kind,
    )


def _cancelled(event: Cancelled) -> _Kept:
    return _kept(
        event,
        "cancelled",
        budget_ms=event.budget_ms,
        basis=event.basis,
        queue_ms=event.waited_ms,
    )
