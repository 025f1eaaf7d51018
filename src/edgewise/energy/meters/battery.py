"""Batteries: the gauge of phones and laptops, below `/sys/class/power_supply`.

`current_now` is meant to be µA and is mA or 0.1 mA on some phones; its sign while discharging
differs too. So both are found out: the sign from the status, the unit from the charge counter where
that moves, else from what an awake phone can take. Without `current_now`, `charge_counter` (µAh)
times the voltage counts, in coarse steps. While anything charges the phone nothing can be said.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgewise.energy.meters.contract import Files, Flaw, Recording, Texts, Track

NAME = "battery"
HELP = "the battery's own gauge (power_supply): phones, laptops"
HOMES = ("sys/class/power_supply",)
BOUNDARY = "all that the battery feeds: the whole device, its screen included"
#: A per unit of `current_now`, by the unit's name.
UNITS = {"uA": 1e-6, "0.1 mA": 1e-4, "mA": 1e-3}
#: The geometric mean of a phone's low and high power while it is measured lies between these (W):
#: awake it idles at 0.3 to 3 W, and works at 1 to 15 W. Units are tens apart, so one fits.
_PLAUSIBLE_W = (0.5, 8.0)
#: Readings that make "it never changes" a finding.
_STUCK_READINGS = 10
#: A charge counter that agrees with the current to this factor confirms the unit.
_AGREES = 1.5
_COULOMB_PER_UAH = 3.6e-3


@dataclass(frozen=True, slots=True)
class BatteryGauge:
    """See `Gauge`. `suppliers`: folders of what could charge it."""

    battery: str
    files: tuple[str, ...]
    suppliers: tuple[str, ...]
    name: str = NAME
    boundary: str = BOUNDARY
    rate_hz: float = 5.0

    @property
    def paths(self) -> tuple[str, ...]:
        """See `Gauge`."""
        own = tuple(f"{self.battery}/{file}" for file in self.files)
        return (*own, *(f"{each}/online" for each in self.suppliers))

    def interpret(self, moments: Sequence[float], texts: Texts) -> Recording:
        """See `Gauge.interpret`."""
        seen = _Seen(self, moments, texts)
        fed = seen.fed()
        if "current_now" in self.files:
            return _by_current(seen, fed)
        return _by_charge(seen, fed)


_FILES = ("status", "current_now", "voltage_now", "charge_counter", "charge_now")


def gauge(files: Files) -> BatteryGauge | None:
    """See `Kind.gauge`."""
    suppliers, battery = [], None
    for name in files.names():
        there = files.names(name)
        if "online" in there:
            suppliers.append(name)
        elif battery is None and any(each in there for each in _FILES[1:]):
            battery = name
    if battery is None:
        return None
    own = tuple(file for file in _FILES if file in files.names(battery))
    return BatteryGauge(battery, own, tuple(suppliers))


def read_log(path: Path) -> Recording | None:
    """See `Kind.read_log`: it leaves none."""
    return None


class _Seen:
    """The readings as numbers."""

    def __init__(self, of: BatteryGauge, moments: Sequence[float], texts: Texts) -> None:
        self.moments = list(moments)
        self.columns = {
            file: [_number(text) for text in texts[f"{of.battery}/{file}"]]
            for file in of.files
            if file != "status"
        }
        nothing: list[str | None] = [None] * len(self.moments)
        self.status = list(texts.get(f"{of.battery}/status", nothing))
        self.online = [texts[f"{each}/online"] for each in of.suppliers]
        self.charge = self.columns.get("charge_counter") or self.columns.get("charge_now")

    def ends(self, index: int) -> float:
        """When the reading after this one came; for the last one, its own moment."""
        return self.moments[min(index + 1, len(self.moments) - 1)]

    def fed(self) -> tuple[Flaw, ...]:
        """Stretches in which something else fed the device."""
        flaws = []
        for index, at in enumerate(self.moments):
            status = (self.status[index] or "").strip().lower()
            plugged = any((column[index] or "").strip() == "1" for column in self.online)
            reason = None
            if status == "charging":
                reason = "charging: what the battery takes in is no consumption"
            elif plugged or status in ("full", "not charging"):
                reason = "external power feeds the device: unplug it, or measure over Wi-Fi"
            if reason is not None:
                flaws.append(Flaw(at, self.ends(index), reason))
        return tuple(flaws)

    def volts(self) -> list[float | None]:
        """The voltage in V: files hold µV, some mV."""
        raw = self.columns.get("voltage_now") or [None] * len(self.moments)
        return [None if v is None else v / (1e6 if v > 1e5 else 1e3) for v in raw]


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _all(seen: _Seen, reason: str) -> Flaw:
    return Flaw(seen.moments[0], seen.moments[-1], reason)


def _nothing(seen: _Seen, fed: tuple[Flaw, ...], reason: str) -> Recording:
    """Nothing can be said of any moment; that something charged it is said first."""
    track = Track("battery", "power", [], [])
    return Recording(NAME, BOUNDARY, (track,), (*fed, _all(seen, reason)))


def _by_current(seen: _Seen, fed: tuple[Flaw, ...]) -> Recording:
    """Power as current times voltage."""
    volts = seen.volts()
    good = [
        (at, current, voltage)
        for at, current, voltage in zip(
            seen.moments, seen.columns["current_now"], volts, strict=True
        )
        if current is not None and voltage is not None
    ]
    if not good:
        return _nothing(seen, fed, "the battery tells no current, or no voltage")
    currents = [current for _, current, _ in good]
    if len(set(currents)) == 1 and len(good) >= _STUCK_READINGS:
        return _nothing(seen, fed, "the reading never changes: no fuel gauge is behind it")
    discharging = [
        each for each in good if not any(flaw.from_s <= each[0] <= flaw.to_s for flaw in fed)
    ]
    if not discharging:
        return _nothing(seen, fed, "the battery was never discharging alone")
    signs = {math.copysign(1, current) for _, current, _ in discharging if current}
    if len(signs) > 1:
        return _nothing(seen, fed, "the current's sign changes while it says that it discharges")
    unit, why = _unit(seen, discharging)
    if unit is None:
        return _nothing(seen, fed, why)
    scale = UNITS[unit]
    track = Track(
        "battery",
        "power",
        [at for at, _, _ in good],
        [abs(current) * scale * voltage for _, current, voltage in good],
    )
    changes = [b[0] for a, b in itertools.pairwise(good) if b[1] != a[1]]
    gaps = [b - a for a, b in itertools.pairwise(changes)]
    return Recording(
        NAME,
        BOUNDARY,
        (track,),
        fed,
        refresh_s=min(gaps, default=None),
        details={
            "unit": unit,
            "unit_found_by": why,
            "discharging_is": "positive" if signs == {1.0} else "negative",
        },
    )


def _unit(seen: _Seen, discharging: Sequence[tuple[float, float, float]]) -> tuple[str | None, str]:
    """The unit of the current and how it was found; None and why it cannot be."""
    by_counter = _per_charge(seen, discharging)
    if by_counter is not None:
        unit = min(UNITS, key=lambda name: abs(math.log(UNITS[name] / by_counter)))
        if abs(math.log(UNITS[unit] / by_counter)) <= math.log(_AGREES):
            return unit, "the charge counter"
        return None, "the unit of the current cannot be known: the charge counter agrees with none"
    powers = sorted(abs(current) * voltage for _, current, voltage in discharging)
    low, high = powers[len(powers) // 10], powers[-1 - len(powers) // 10]
    middle = math.sqrt(max(low, 1e-12) * max(high, 1e-12))
    least, most = _PLAUSIBLE_W
    fitting = [name for name, scale in UNITS.items() if least <= middle * scale <= most]
    if len(fitting) == 1:
        return fitting[0], "what an awake phone can take"
    return None, (
        "the unit of the current cannot be known: "
        + (f"{' and '.join(fitting)} would both be plausible" if fitting else "none is plausible")
        + ", and no charge counter moves"
    )


def _per_charge(seen: _Seen, discharging: Sequence[tuple[float, float, float]]) -> float | None:
    """A per unit of the current by the charge counter; None where it moves too little."""
    if seen.charge is None:
        return None
    begin, end = discharging[0][0], discharging[-1][0]
    charge = [
        (at, value * _per_uah(value))
        for at, value in zip(seen.moments, seen.charge, strict=True)
        if value is not None and begin <= at <= end
    ]
    moves = [(b[0], b[1]) for a, b in itertools.pairwise(charge) if b[1] != a[1]]
    if len(moves) < 4 or moves[0][1] <= moves[-1][1]:
        return None
    begin, end = moves[0][0], moves[-1][0]
    amounts = sum(
        abs(current) * (min(b, end) - max(a, begin))
        for (a, current, _), (b, _, _) in itertools.pairwise(discharging)
        if min(b, end) > max(a, begin)
    )
    coulombs = (moves[0][1] - moves[-1][1]) * _COULOMB_PER_UAH
    return coulombs / amounts if amounts else None


def _per_uah(value: float) -> float:
    """Counters hold µAh; a phone's battery that seems to hold less than 20 mAh holds mAh."""
    return 1e3 if value < 2e4 else 1.0


def _by_charge(seen: _Seen, fed: tuple[Flaw, ...]) -> Recording:
    """Energy as charge times voltage, known at the moments when the counter moves."""
    volts = [each for each in seen.volts() if each is not None]
    read = [
        (at, value * _per_uah(value))
        for at, value in zip(seen.moments, seen.charge or [], strict=False)
        if value is not None
    ]
    moves = [(b[0], b[1], a[1]) for a, b in itertools.pairwise(read) if b[1] != a[1]]
    if not volts or len(moves) < 2:
        return _nothing(seen, fed, "the charge counter moves too little, or there is no voltage")
    voltage = statistics.fmean(volts)
    if any(new > old for _, new, old in moves):
        return _nothing(seen, fed, "the charge counter rises: charging")
    quantum_j = min(old - new for _, new, old in moves) * _COULOMB_PER_UAH * voltage
    first = moves[0][1]
    times = [at for at, _, _ in moves]
    joules = [(first - new) * _COULOMB_PER_UAH * voltage for _, new, _ in moves]
    begin, end = read[0][0], read[-1][0]
    if begin < times[0]:  # at the pace of the first steps, at most one step
        joules.insert(0, joules[0] - _reach(times[:2], joules[:2], times[0] - begin, quantum_j))
        times.insert(0, begin)
    if end > times[-1]:
        joules.append(joules[-1] + _reach(times[-2:], joules[-2:], end - times[-1], quantum_j))
        times.append(end)
    track = Track("battery", "counter", times, joules, quantum_j=quantum_j)
    note = f"by the charge counter, in steps of {quantum_j:.3g} J"
    return Recording(NAME, BOUNDARY, (track,), fed, notes=(note,))


def _reach(times: Sequence[float], joules: Sequence[float], seconds: float, most: float) -> float:
    return min(most, (joules[1] - joules[0]) / (times[1] - times[0]) * seconds)
