"""RAPL: the energy counters of processors, as Linux shows them below `/sys/class/powercap`.

A zone is a folder `intel-rapl:N` (a package, or the platform "psys") or `intel-rapl:N:M` inside it;
`energy_uj` counts µJ up to `max_energy_range_uj` and begins again. Cores and uncore lie inside
their package, memory does not; `intel-rapl-mmio` repeats packages.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgewise.energy.meters.contract import Files, Flaw, Recording, Texts, Track
from edgewise.errors import DeviceError

NAME = "rapl"
HELP = "energy counters of x86 processors (Linux powercap): packages and memory"
HOMES = ("sys/class/powercap",)
_ZONE = re.compile(r"(?:intel|amd)-rapl(?::\d+){1,2}$")
_PARTS = re.compile(r"core|uncore|psys", re.I)
#: No zone takes more (W). What would have to be more is a reset, or several wraps.
CEILING_W = 500.0
#: A step back is called a wrap only if the power it implies is at most so many times the largest
#: otherwise seen, or so small that it does not matter (W).
_LIKELY_TIMES, _LIKELY_W = 5.0, 100.0
#: A counter that stands still for so long (s, and readings) is frozen: it counts every millisecond.
_FROZEN_S, _FROZEN_READINGS = 1.0, 3


@dataclass(frozen=True, slots=True)
class _Zone:
    folder: str
    name: str
    range_j: float | None
    counted: bool


@dataclass(frozen=True, slots=True)
class RaplGauge:
    """See `Gauge`."""

    zones: tuple[_Zone, ...]
    name: str = NAME
    boundary: str = "processor packages and, where there is a counter, memory; not the machine"
    rate_hz: float = 20.0

    @property
    def paths(self) -> tuple[str, ...]:
        """See `Gauge`."""
        return tuple(f"{zone.folder}/energy_uj" for zone in self.zones)

    def interpret(self, moments: Sequence[float], texts: Texts) -> Recording:
        """See `Gauge.interpret`."""
        tracks, notes = [], []
        for zone in self.zones:
            read = [
                (at, int(text) / 1e6)
                for at, text in zip(moments, texts[f"{zone.folder}/energy_uj"], strict=True)
                if text is not None and text.strip().isdigit()
            ]
            moved = len({value for _, value in read}) > 1
            if not moved and not zone.name.startswith("package"):
                notes.append(f"{zone.name}: its counter never moves, it is left out")
                continue
            tracks.append(_track(zone, read))
        return Recording(NAME, self.boundary, tuple(tracks), notes=tuple(notes))


def gauge(files: Files) -> RaplGauge | None:
    """See `Kind.gauge`."""
    found = [name for name in files.names() if _ZONE.fullmatch(name)]
    zones = [_zone(files, folder) for folder in found]
    if not zones:
        return None
    for zone in zones:
        _let(files, f"{zone.folder}/energy_uj")
    return RaplGauge(tuple(zones))


def read_log(path: Path) -> Recording | None:
    """See `Kind.read_log`: it leaves none."""
    return None


def _zone(files: Files, folder: str) -> _Zone:
    try:
        name = files.read(f"{folder}/name").strip() or folder
    except OSError:
        name = folder
    if folder.count(":") > 1 and not name.startswith("package"):
        # Two packages have parts of the same names.
        others = [each for each in files.names() if _ZONE.fullmatch(each) and each != folder]
        twice = any(_name(files, each) == name for each in others)
        name = f"{name} of {_name(files, folder.rpartition(':')[0])}" if twice else name
    try:
        top = int(files.read(f"{folder}/max_energy_range_uj")) / 1e6
    except (OSError, ValueError):
        top = 0.0
    return _Zone(folder, name, top or None, _PARTS.match(name) is None)


def _name(files: Files, folder: str) -> str:
    try:
        return files.read(f"{folder}/name").strip()
    except OSError:
        return folder


def _let(files: Files, path: str) -> None:
    try:
        files.read(path)
    except PermissionError as error:
        raise DeviceError(
            f"RAPL: {path} may be read by root only",
            hint=f"sudo chmod a+r /{HOMES[0]}/*/energy_uj (until the next start), or run as root",
        ) from error
    except OSError as error:
        raise DeviceError(f"RAPL: {path} cannot be read: {error.strerror or error}") from error


def _track(zone: _Zone, read: Sequence[tuple[float, float]]) -> Track:
    """The counter unwrapped, with what cannot be known of it."""
    steps = [
        (a, b, new - old)
        for (a, old), (b, new) in itertools.pairwise(read)
    ]  # fmt: skip
    usual_w = max((joules / (b - a) for a, b, joules in steps if joules >= 0), default=0.0)
    total, values, flaws = 0.0, [0.0] if read else [], []
    for a, b, joules in steps:
        reason = None
        if joules < 0 and zone.range_j is None:
            reason = f"{zone.name}: the counter went backwards and its range is unknown"
        elif joules < 0 and zone.range_j is not None:
            joules += zone.range_j
            implied_w = joules / (b - a)
            if implied_w > min(CEILING_W, max(_LIKELY_TIMES * usual_w, _LIKELY_W)):
                reason = (
                    f"{zone.name}: the counter went backwards by more than a wrap at this power "
                    "explains: it was reset"
                )
        if reason is None and zone.range_j is not None and zone.range_j / (b - a) < CEILING_W:
            reason = (
                f"{zone.name}: the counter may have wrapped more than once between two readings: "
                f"it holds {zone.range_j:.3g} J and was read after {b - a:.3g} s"
            )
        if reason is not None:
            flaws.append(Flaw(a, b, reason))
        total += max(0.0, joules)
        values.append(total)
    times = [at for at, _ in read]
    flaws += _frozen(zone, times, values)
    return Track(zone.name, "counter", times, values, zone.counted, _smallest(values), tuple(flaws))


def _frozen(zone: _Zone, times: Sequence[float], values: Sequence[float]) -> list[Flaw]:
    flaws, begin = [], 0
    for index in range(1, len(times) + 1):
        if index < len(times) and values[index] == values[begin]:
            continue
        last = index - 1
        if last - begin >= _FROZEN_READINGS and times[last] - times[begin] >= _FROZEN_S:
            reason = f"{zone.name}: the counter did not move while the machine worked"
            flaws.append(Flaw(times[begin], times[last], reason))
        begin = index
    return flaws


def _smallest(values: Sequence[float]) -> float | None:
    """An upper bound of the counter's step: the smallest that was seen, at most a millijoule."""
    steps = [b - a for a, b in itertools.pairwise(values) if b > a]
    return min(*steps, 1e-3) if steps else None
