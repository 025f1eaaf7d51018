"""JSON logs: one object per line, on standard error or in a file.

The event loop only puts events away; a thread makes lines of them. Where the terminal stalls, the
pipe's reader sleeps or the disk is full, lines are dropped and counted, and the count is logged
once lines get through again; nothing waits and nothing fails.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgewise.server.events import (
    Answered,
    Arrived,
    Cancelled,
    Draining,
    Event,
    Evicted,
    Failed,
    Loaded,
    RefusedEvent,
    Reloaded,
    WorkerBack,
    WorkerLost,
)
from edgewise.server.operations.outbox import Outbox

RequestLog = Literal["requests", "errors", "off"]
#: A line: level, event's name, monotonic time in ms, and the fields.
Line = tuple[str, str, float, dict[str, Any]]

_WAITING = 8192
_EVERY_S = 0.1
#: Of lines about requests; what is above is counted in a line of its own.
_PER_SECOND = 1000
#: JSON escapes what is below U+0020. These can still steer a terminal, or look like other text:
#: delete, C1 controls, line and paragraph separators, marks that turn the direction of text.
_STEERING = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class JsonLog:
    """Writes what the service tells as lines of JSON.

    Args:
        path: a file to append to, opened again when it was moved away; None: standard error.
        requests: log each request, only those that were not answered in time, or none. What
            concerns workers, memory and the service itself is always logged.
        per_second: at most so many lines about requests.
    """

    def __init__(
        self,
        path: Path | None = None,
        requests: RequestLog = "requests",
        per_second: int = _PER_SECOND,
    ) -> None:
        self._requests = requests
        self._limit = _RateLimit(per_second)
        self._sink = _Sink(path)
        self._told_lost = 0
        self._lines: dict[type[Any], Callable[[Any], Line]] = {
            Answered: _answered,
            RefusedEvent: _rejected,
            Failed: _failed,
            Cancelled: _cancelled,
            Loaded: _plain("info", "loaded"),
            Evicted: _plain("info", "evicted"),
            WorkerLost: _plain("error", "worker_lost"),
            WorkerBack: _plain("info", "worker_back"),
            Reloaded: _plain("info", "reloaded"),
            Draining: _plain("info", "draining"),
        }
        self._outbox: Outbox[Line] = Outbox(
            "edgewise-log", self._write, limit=_WAITING, every_s=_EVERY_S
        )

    @property
    def dropped(self) -> int:
        """Lines that were lost."""
        return self._outbox.dropped + self._sink.lost

    def listen(self, event: Event) -> None:
        """Put an event away."""
        if isinstance(event, Arrived) or not self._wanted(event):
            return
        self._outbox.put(self._lines[type(event)](event))

    def _wanted(self, event: Event) -> bool:
        if self._requests == "requests" or type(event) not in _OF_REQUESTS:
            return True
        if self._requests == "off":
            return False
        return not isinstance(event, Answered) or event.result.in_time is False

    def handler(self) -> logging.Handler:
        """For Python's own logging, so that libraries' warnings are lines of JSON too."""
        return _Handler(self._outbox.put)

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits; lines that cannot be written in time are lost."""
        if self._outbox.close(timeout_s):  # else the thread still writes there
            self._sink.close()

    def _write(self, lines: list[Line]) -> None:
        ahead_s = time.time() - time.monotonic()
        text = []
        for level, event, at_ms, fields in lines:
            if event in _REQUEST_LINES and not self._limit.allows(at_ms):
                continue
            text.append(_encoded(level, event, ahead_s + at_ms / 1000, fields))
        if left_out := self._limit.left_out(time.monotonic() * 1000):
            text.append(_encoded("warning", "log_limited", time.time(), {"left_out": left_out}))
        if not text or self._sink.write(text):
            self._tell_lost()

    def _tell_lost(self) -> None:
        """Say how many lines were lost, where that has grown and lines get through."""
        lost = self.dropped
        if lost > self._told_lost:
            fields = {"dropped": lost - self._told_lost, "dropped_in_all": lost}
            line = _encoded("warning", "log_dropped", time.time(), fields)
            if self._sink.write([line], count=False):
                self._told_lost = lost


_OF_REQUESTS = frozenset({Answered, RefusedEvent, Failed, Cancelled})
_REQUEST_LINES = frozenset({"answered", "shed", "failed", "cancelled"})


class _RateLimit:
    """So many per second of the events' own clock."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = -1
        self._count = 0
        self._left_out = 0

    def allows(self, at_ms: float) -> bool:
        second = int(at_ms // 1000)
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= self._per_second:
            return True
        self._left_out += 1
        return False

    def left_out(self, now_ms: float) -> int:
        """How many were left out, once a second is over; told once."""
        if not self._left_out or int(now_ms // 1000) == self._second:
            return 0
        left_out, self._left_out = self._left_out, 0
        return left_out


class _Sink:
    """A file descriptor that may stall or fail."""

    def __init__(self, path: Path | None) -> None:
        self.lost = 0
        self._path = path
        self._torn = False
        self._descriptor = os.dup(2) if path is None else _opened(path)

    def write(self, lines: list[bytes], *, count: bool = True) -> bool:
        """Write whole lines; those that do not go through are lost, and counted as such."""
        # What was cut off must not swallow the next line.
        start = b"\n" if self._torn else b""
        content = start + b"".join(lines)
        written = 0
        try:
            self._follow()
            while written < len(content):
                written += os.write(self._descriptor, content[written:])
        except OSError:
            through = content[len(start) : written]
            self._torn = not content[:written].endswith(b"\n") if written else self._torn
            if count:
                self.lost += len(lines) - through.count(b"\n")
            return False
        self._torn = False
        return True

    def close(self) -> None:
        os.close(self._descriptor)

    def _follow(self) -> None:
        """Open the file again where it was moved away or deleted."""
        if self._path is None:
            return
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        here = os.fstat(self._descriptor)
        if there is None or (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            fresh = _opened(self._path)
            os.close(self._descriptor)
            self._descriptor = fresh


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


class _Handler(logging.Handler):
    """Python's log records as lines, with the traceback where there is one."""

    def __init__(self, put: Callable[[Line], None]) -> None:
        super().__init__()
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._put((record.levelname.lower(), "log", time.monotonic() * 1000, fields))


def _encoded(level: str, event: str, at_s: float, fields: dict[str, Any]) -> bytes:
    when = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
    values: dict[str, Any] = {"time": when.replace("+00:00", "Z"), "level": level, "event": event}
    for name, value in fields.items():
        values[name] = round(value, 3) if type(value) is float else value
    try:
        line = msgspec.json.encode(values)
    except (UnicodeEncodeError, TypeError, ValueError):  # a lone surrogate; a value of odd type
        line = json.dumps(values, default=repr).encode()
    if line.isascii() and b"\x7f" not in line:
        return line + b"\n"
    return _STEERING.sub(_escaped, line.decode()).encode() + b"\n"


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _line(level: str, name: str, event: Any, *fields: str, **others: Any) -> Line:
    """A line about a request: whose it is, these fields of the event, and others."""
    common = ("request_id", "model", "family", *fields)
    return (level, name, event.at_ms, {**{key: getattr(event, key) for key in common}, **others})


def _answered(event: Answered) -> Line:
    result = event.result
    late = result.in_time is False
    return _line(
        "warning" if late else "info", "answered", event, "sla_ms",
        variant=result.variant, status=200, in_time=result.in_time, budget_ms=result.budget_ms,
        budget_basis=result.basis, queue_ms=result.queue_ms, cold_ms=result.cold_ms,
        preprocess_ms=result.preprocess_ms, inference_ms=result.inference_ms,
        total_ms=event.total_ms,
    )  # fmt: skip


def _rejected(event: RefusedEvent) -> Line:
    return _line(
        "warning", "shed", event, "reason", "sla_ms", "budget_ms", "waited_ms", "retry_after_ms",
        status=503, budget_basis=event.basis,
    )  # fmt: skip


def _failed(event: Failed) -> Line:
    level = "error" if event.status >= 500 else "warning"
    return _line(level, "failed", event, "variant", "status", "kind", "message", "total_ms")


def _cancelled(event: Cancelled) -> Line:
    return _line("info", "cancelled", event, "running", "waited_ms")


def _plain(level: str, name: str) -> Callable[[Any], Line]:
    """A rare event as it is."""

    def line(event: Any) -> Line:
        fields = {key: getattr(event, key) for key in event.__struct_fields__ if key != "at_ms"}
        return (level, name, event.at_ms, fields)

    return line
