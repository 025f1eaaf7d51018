"""What the scheduler and the listeners are told of workers that come and go, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from edgewise.server import events
from edgewise.server.attendance import Attendance
from edgewise.server.catalogue import LOCAL
from edgewise.server.pool.pool import Pool
from edgewise.server.running import Pools

URL = "http://elsewhere:8000"


class LocalPool(Pool):
    """Two workers without processes; `at_once`: a lost one is likely to be back soon."""

    def __init__(self) -> None:
        self.size, self.causes, self.at_once = 2, ["crashed"] * 2, True

    def restarts_at_once(self, worker: int) -> bool:
        return self.at_once

    def resident_bytes(self, key: str) -> int:
        return 10

    def cold_ms(self, key: str) -> float:
        return 2.0


@dataclass
class Remote:
    size: int = 1


@dataclass
class Told:
    """A service that notes what it, its scheduler and its listeners are told."""

    calls: list[tuple[object, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = self.publisher = self.catalogue = self
        self.variants = {"k1": None, "k2": None}

    def __getattr__(self, name: str) -> Any:
        def note(*given: object) -> None:
            self.calls.append((name, *(each for each in given if not isinstance(each, float))))

        return note

    def tell(self, event: events.Event) -> None:
        self.calls.append((type(event).__name__, event.worker))  # type: ignore[union-attr]

    def since(self) -> list[tuple[object, ...]]:
        """What came since it was asked last."""
        told, self.calls = self.calls, []
        return told


@pytest.fixture
def pool() -> LocalPool:
    return LocalPool()


@pytest.fixture
def attendance(pool: LocalPool) -> Attendance:
    made = Attendance()
    made.pools = Pools({LOCAL: pool, URL: Remote()}, {})  # type: ignore[dict-item]
    made.names = {"k1": ("digits", "small"), "k2": ("digits", "large"), "old": ("gone", "x")}
    return made


def begun(attendance: Attendance) -> Told:
    """Both workers and the endpoint are there, and the service knows."""
    attendance.on_change(0, frozenset())
    attendance.on_change(1, frozenset())
    attendance.on_up(URL, 0, True)
    service = Told()
    attendance.begin(service)  # type: ignore[arg-type]
    service.since()
    return service


def test_what_came_before_there_was_a_service_is_told_to_it(attendance: Attendance) -> None:
    attendance.on_change(0, frozenset({"k1", "old"}))
    service = Told()
    attendance.begin(service)  # type: ignore[arg-type]
    assert service.since() == [
        ("worker_lost", LOCAL, 1), ("worker_lost", URL, 0),
        ("resident", LOCAL, 0, {"digits/small"}),
    ]  # fmt: skip
    attendance.announce()
    assert service.since() == [("WorkerBack", 0), ("Loaded", 0), ("Loaded", 0)]


def test_residents_that_change_are_events(attendance: Attendance) -> None:
    service = begun(attendance)
    attendance.on_change(0, frozenset({"k1"}))
    assert service.since() == [("resident", LOCAL, 0, {"digits/small"}), ("pump",), ("Loaded", 0)]
    attendance.on_change(0, frozenset({"k2"}))
    assert service.since()[2:] == [("Loaded", 0), ("Evicted", 0)]


def test_a_worker_beside_others_is_lost_and_back(attendance: Attendance) -> None:
    service = begun(attendance)
    attendance.on_change(1, None)
    assert service.since() == [("worker_lost", LOCAL, 1), ("WorkerLost", 1), ("watch",)]
    attendance.on_change(1, frozenset())
    assert service.since()[:2] == [("worker_back", LOCAL, 1), ("WorkerBack", 1)]


def test_the_last_worker_is_awaited_while_it_is_likely_to_be_back(
    attendance: Attendance, pool: LocalPool
) -> None:
    """Requests go on being queued for it, until its replacement fails too."""
    service = begun(attendance)
    attendance.on_change(0, None)
    service.since()
    attendance.on_change(1, None)
    assert service.since() == [("WorkerLost", 1), ("watch",)]
    pool.at_once = False
    attendance.on_change(1, None)
    assert service.since() == [("worker_lost", LOCAL, 1), ("move", LOCAL)]


def test_where_another_is_back_first_the_awaited_one_is_lost(attendance: Attendance) -> None:
    service = begun(attendance)
    attendance.on_change(0, None)
    attendance.on_change(1, None)
    service.since()
    attendance.on_change(0, frozenset())
    assert service.since()[:2] == [("worker_lost", LOCAL, 1), ("worker_back", LOCAL, 0)]


def test_what_is_queued_for_an_endpoint_that_is_down_moves(attendance: Attendance) -> None:
    service = begun(attendance)
    attendance.on_up(URL, 0, False)
    assert service.since() == [
        ("worker_lost", URL, 0),
        ("WorkerLost", 0),
        ("watch",),
        ("move", URL),
    ]
    attendance.on_up(URL, 0, False)
    assert service.since() == []
