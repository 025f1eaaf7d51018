"""What verbs that write to a store are doing now: a small file for each beside the tables.

Whoever shows the store while it fills (`edgewise ui`) reads them. They say nothing about what the
store holds; one that a killed process left behind is told by its process.
"""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from time import monotonic, time
from types import TracebackType

import msgspec

from edgewise.errors import StoreError
from edgewise.records import Record
from edgewise.store.places import Place
from edgewise.store.store import Store

_FOLDER = "running"
#: Seconds between two writes at least: of a folder, of another place. The first few steps are
#: written as they come: one may take minutes.
_EVERY_S, _FAR_EVERY_S = 1.0, 10.0
_FIRST = 8
#: From another machine nobody can tell whether a process lives: one that said nothing for so long
#: is taken for dead.
_SILENT_S = 900.0


class Running(Record, frozen=True):
    """One verb at work. `total` is None where it is not known; times are seconds since 1970."""

    verb: str
    done: int
    total: int | None
    at: str | None
    started: float
    updated: float
    host: str
    pid: int

    def is_alive(self) -> bool:
        """Whether its process still runs, as far as can be told from here."""
        if self.host != socket.gethostname():
            return time() - self.updated < _SILENT_S
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):
            return True  # it is somebody else's
        return True


class Reporter:
    """Says in a store how far a verb is. Use as a context; a store that cannot be written to does
    not stop the verb: what it says is then not seen."""

    def __init__(self, store: Store, verb: str, total: int | None) -> None:
        self._place: Place = store.place
        self._name = f"{_FOLDER}/{verb}-{uuid.uuid4().hex[:12]}.json"
        self._every = _EVERY_S if self._place.filesystem is None else _FAR_EVERY_S
        self._written_at, self._writes = monotonic(), 0
        now = time()
        self._state = Running(
            verb=verb, done=0, total=total, at=None, started=now, updated=now,
            host=socket.gethostname(), pid=os.getpid(),
        )  # fmt: skip

    def __enter__(self) -> Reporter:
        self._write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(StoreError):
            self._place.delete(self._name)

    def advance(
        self, description: str | None = None, steps: int = 1, total: int | None = None
    ) -> None:
        """So many steps more are done, and what comes next or was done last."""
        state = self._state
        self._state = msgspec.structs.replace(
            state, done=state.done + steps, at=description or state.at, total=total or state.total,
            updated=time(),
        )  # fmt: skip
        if self._writes < _FIRST or monotonic() - self._written_at >= self._every:
            self._write()

    def _write(self) -> None:
        with suppress(StoreError):
            self._place.write(self._name, memoryview(self._state.to_json()))
        self._written_at, self._writes = monotonic(), self._writes + 1


def running(store: Store) -> list[Running]:
    """The verbs that write to a store now, the one that began first, first.

    Raises:
        StoreError: the store cannot be read.
    """
    found = []
    for name in sorted(store.place.names(_FOLDER)):
        with suppress(StoreError, msgspec.MsgspecError):  # it has just ended, or is none of ours
            found.append(msgspec.json.decode(store.place.read(f"{_FOLDER}/{name}"), type=Running))
    return sorted((each for each in found if each.is_alive()), key=lambda each: each.started)
