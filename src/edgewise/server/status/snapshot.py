"""What the status page asks for every second, as plain data."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from edgewise.server.inventory import Inventory, Live, ProfileNow, Sources
from edgewise.server.status.timeline import WINDOW_S, Second, Timeline, Timelines, quantile


def _monotonic_ms() -> float:
    return time.monotonic() * 1000


class Snapshots:
    """Snapshots of a service; those asked for within the same second are the same one."""

    def __init__(
        self,
        timelines: Timelines,
        inventory: Inventory,
        sources: Sources,
        clock_ms: Callable[[], float] = _monotonic_ms,
    ) -> None:
        self._timelines, self._inventory, self._sources = timelines, inventory, sources
        self._clock_ms = clock_ms
        self._started = int(clock_ms() // 1000)
        self._made_at = -1
        self._made: dict[str, Any] = {}
        #: By family and second, of seconds that nothing is counted in any more.
        self._rows: dict[str, dict[int, tuple[float | None, ...]]] = {}

    def take(self) -> dict[str, Any]:
        """The service now and over its last minutes, up to the last whole second.

        Series have one value per second, the oldest first, null where there is nothing to tell.
        """
        now = int(self._clock_ms() // 1000)
        if now != self._made_at:
            self._made = self._make(now)
            self._made_at = now
        return self._made

    def _make(self, now: int) -> dict[str, Any]:
        seconds = min(max(now - self._started, 1), WINDOW_S)
        profiles, live = list(self._sources.profiles()), self._sources.live()
        names = dict.fromkeys([*(p.family for p in profiles), *self._timelines.families])
        return {
            **self._service(now, live),
            "seconds": seconds,
            "families": [
                self._family(
                    name, [p for p in profiles if p.family == name], live, now - seconds, now
                )
                for name in names
                if name
            ],
        }

    def _service(self, now: int, live: Live) -> dict[str, Any]:
        inventory = self._inventory
        resident = sum(size for size, _ in inventory.resident_bytes().values())
        return {
            "version": inventory.version,
            "policy": self._sources.policy,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "uptime_s": now - self._started,
            "draining": inventory.draining,
            "workers": {
                "configured": self._sources.workers,
                "alive": len(inventory.workers),
                "busy": live.workers_busy,
                "losses": inventory.losses,
                "last_loss": inventory.last_loss or None,
            },
            "queue": {"length": live.queue_length, "backlog_ms": round(live.backlog_ms, 3)},
            "memory": {
                "resident_bytes": resident,
                "budget_bytes": self._sources.memory_budget_bytes,
            },
        }

    def _family(
        self, name: str, profiles: Sequence[ProfileNow], live: Live, first: int, end: int
    ) -> dict[str, Any]:
        timeline = self._timelines.families.get(name) or Timeline()
        known = {each.second: each for each in timeline.since(first, end)}
        nothing = Second(-1)
        seconds = [known.get(second, nothing) for second in range(first, end)]
        choices: Counter[str] = Counter()
        for each in known.values():
            choices.update(each.choices)
        return {
            "name": name,
            "window": _window(list(known.values()), choices),
            "series": _series(seconds, self._rows_of(name, seconds, end), sorted(choices)),
            "variants": self._variants(name, profiles, live.set_aside, choices),
        }

    def _rows_of(
        self, family: str, seconds: Sequence[Second], end: int
    ) -> list[tuple[float | None, ...]]:
        """What there is to tell of each second; of those that are over it is worked out once."""
        before = self._rows.get(family, {})
        rows = [before.get(each.second) or _row(each) for each in seconds]
        # An event may be told shortly after its second: the last ones are not over yet.
        self._rows[family] = {
            each.second: row
            for each, row in zip(seconds, rows, strict=True)
            if 0 <= each.second < end - 2
        }
        return rows

    def _variants(
        self,
        family: str,
        profiles: Sequence[ProfileNow],
        aside: Mapping[tuple[str, str], str],
        choices: Counter[str],
    ) -> list[dict[str, Any]]:
        """The most accurate first, those without a profile last."""
        resident = self._inventory.resident_bytes()
        rows = {
            p.variant: {
                "name": p.variant,
                "accuracy": p.accuracy,
                "mean_ms": round(p.mean_ms, 4),
                "start_mean_ms": round(p.start_mean_ms, 4),
                "samples": p.n,
            }
            for p in sorted(profiles, key=lambda p: (-(p.accuracy or 0.0), p.mean_ms, p.variant))
        }
        for variant in sorted(choices):
            rows.setdefault(variant, {"name": variant, "accuracy": None})
        for variant, row in rows.items():
            row["answers"] = choices[variant]
            row["set_aside"] = aside.get((family, variant))
            row["resident_bytes"], row["resident_workers"] = resident.get((family, variant), (0, 0))
        return list(rows.values())


def _window(seconds: Sequence[Second], choices: Counter[str]) -> dict[str, Any]:
    """Sums and means over all seconds."""
    latencies: Counter[int] = Counter()
    shed: Counter[str] = Counter()
    for each in seconds:
        latencies.update(each.latencies)
        shed.update(each.shed)

    def total(name: str) -> float:
        return float(sum(getattr(each, name) for each in seconds))

    answered = int(total("answered"))
    return {
        "arrived": int(total("arrived")),
        "answered": answered,
        "late": int(total("late")),
        "failed": int(total("failed")),
        "cancelled": int(total("cancelled")),
        "shed": dict(shed),
        "attainment": _ratio(total("in_time"), total("due")),
        "accuracy": _ratio(total("accuracy"), total("accurate")),
        "effective_accuracy": _ratio(total("effective"), total("offered")),
        "queue_ms": _ratio(total("queue_ms"), answered),
        "p50_ms": _rounded(quantile(latencies, 0.5)),
        "p99_ms": _rounded(quantile(latencies, 0.99)),
        "variants": len(choices),
    }


#: The columns of a series but for the choices, which have one per variant.
_COLUMNS = (
    "arrived", "answered", "due", "in_time", "offered", "effective", "shed", "failed", "cancelled",
    "queue_length", "queue_ms", "p50_ms", "p99_ms",
)  # fmt: skip


def _row(each: Second) -> tuple[float | None, ...]:
    """The values of `_COLUMNS`."""
    return (
        each.arrived,
        each.answered,
        each.due,
        each.in_time,
        each.offered,
        round(each.effective, 2),
        sum(each.shed.values()),
        each.failed,
        each.cancelled,
        each.queue_length,
        _ratio(each.queue_ms, each.answered),
        _rounded(quantile(each.latencies, 0.5)),
        _rounded(quantile(each.latencies, 0.99)),
    )


def _series(
    seconds: Sequence[Second], rows: Sequence[tuple[float | None, ...]], variants: Sequence[str]
) -> dict[str, Any]:
    columns = dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    choices = {name: [each.choices.get(name, 0) for each in seconds] for name in variants}
    return {**columns, "choices": choices}


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
