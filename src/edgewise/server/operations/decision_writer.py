"""The process that appends decisions to a store: `STORE RECORDS SECONDS`, lines of JSON on stdin.

It outlives the service that feeds it by as long as it needs to store what it has: the end of its
input is its only order to stop. After each part it says on stdout what came of it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

import msgspec

from edgewise.errors import StoreError
from edgewise.records import Decision
from edgewise.server.operations.decisions import WriterReport
from edgewise.store import Store

#: Parts that wait for a store that cannot be written; older records are given up.
_PARTS_KEPT = 16
_AT_ONCE = 1 << 16


class Writer:
    """Collects decisions and appends them, `records` or `seconds` at a time, to the store at `url`.

    While the store refuses them they wait, up to a bound; beyond it the oldest are given up.
    """

    def __init__(self, url: str, records: int, seconds: float) -> None:
        self._url, self._records, self._seconds = url, records, seconds
        self._waiting: list[Decision] = []
        self._given_up = 0
        self._refused = False
        self._since = time.monotonic()
        self._read = msgspec.json.Decoder(Decision)

    def add(self, line: bytes) -> None:
        """Take one record."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append(self._read.decode(line))
        if len(self._waiting) > _PARTS_KEPT * self._records:
            del self._waiting[: self._records]
            self._given_up += self._records

    @property
    def due_s(self) -> float:
        """Seconds until the next part should be written, 0: now."""
        if not self._waiting:
            return self._seconds
        if len(self._waiting) >= self._records and not self._refused:
            return 0.0
        return max(self._since + self._seconds - time.monotonic(), 0.0)

    def flush(self) -> WriterReport | None:
        """Write what waits."""
        if not self._waiting:
            return None
        records = self._waiting
        given_up, self._given_up = self._given_up, 0
        self._since = time.monotonic()
        try:
            Store.open(self._url, create=True).append(records, per_part=self._records)
        except StoreError as error:
            self._refused = True
            return WriterReport(lost=given_up, error=str(error))
        self._waiting, self._refused = [], False
        return WriterReport(stored=len(records), lost=given_up)

    def finish(self) -> WriterReport | None:
        """Write what waits for the last time; what is refused now is lost."""
        report = self.flush()
        if report is not None and report.error:
            report.lost += len(self._waiting)
        return report


def main() -> None:
    """Read until the end of the input."""
    url, records, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(10)
    writer = Writer(url, records, seconds)
    rest = b""
    while True:
        ready, _, _ = select.select([0], [], [], writer.due_s)
        if ready:
            content = os.read(0, _AT_ONCE)
            if not content:
                break
            *lines, rest = (rest + content).split(b"\n")
            for line in lines:
                writer.add(line)
        if writer.due_s == 0:
            _say(writer.flush())
    _say(writer.finish())


def _say(report: WriterReport | None) -> None:
    """To whoever listens; a service that is gone does not."""
    if report is None:
        return
    try:
        os.write(1, msgspec.json.encode(report) + b"\n")
    except OSError:
        return


if __name__ == "__main__":
    main()
