"""Appends gathered for a moment: thousands of apps are then some parts and not thousands of them.

Each part costs two syncs when it is written and an open file whenever the store is read.
"""

from __future__ import annotations

from time import monotonic

from edgewise.records import Record
from edgewise.store.store import Store

#: A part is written when this many records wait, or the first has waited for so long.
_MOST_RECORDS = 256
_MOST_SECONDS = 2.0


class Gathering:
    """Use as a context. Whatever ends it, Ctrl-C too, what was gathered is then in the store.

    A process that is killed loses what it gathered since the last part, never a part.
    """

    def __init__(
        self, store: Store, *, records: int = _MOST_RECORDS, seconds: float = _MOST_SECONDS
    ) -> None:
        self._store, self._records, self._seconds = store, records, seconds
        self._waiting: list[Record] = []
        self._written_at = monotonic()

    def __enter__(self) -> Gathering:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def append(self, record: Record) -> None:
        """Keep a record; see `Store.append` for what is raised."""
        self._waiting.append(record)
        if len(self._waiting) >= self._records or monotonic() - self._written_at >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Records that could not be written wait on."""
        if self._waiting:
            self._store.append(self._waiting)
            self._waiting.clear()
        self._written_at = monotonic()
