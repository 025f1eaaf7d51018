"""ODPM: the on-device power meters of Google's phones, as the iio driver shows them.

`energy_value` holds `t=<ms>` and for every channel `CH<n>(T=<ms>)[<schematic>], <µWs>`: energy
since boot, and for how long the channel has counted. `enabled_rails` names the channels. The driver
refreshes every 20 ms to 2.6 s: an equal `t` is no new reading, and `t`, not the moment of reading,
says when it was.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgewise.energy.meters.contract import Files, Flaw, Recording, Texts, Track
from edgewise.errors import DeviceError

NAME = "odpm"
HELP = "power rails of Google's phones (iio), from the Pixel 6 on"
HOMES = ("sys/bus/iio/devices",)
BOUNDARY = "the listed rails, not the phone"
_TIME = re.compile(r"^t=(\d+)", re.M)
_CHANNEL = re.compile(r"^CH(\d+)(?:\(T=(\d+)\))?\[([^\]]*)\],\s*(\d+)", re.M)
_RAIL = re.compile(r"^CH(\d+)\[([^\]]*)\]:(.+)$", re.M)
#: µWs are whole.
_QUANTUM_J = 1e-6


@dataclass(frozen=True, slots=True)
class OdpmGauge:
    """See `Gauge`. `rails`: by device and channel, the name."""

    devices: tuple[str, ...]
    rails: dict[tuple[str, int], str]
    name: str = NAME
    boundary: str = BOUNDARY
    rate_hz: float = 4.0

    @property
    def paths(self) -> tuple[str, ...]:
        """See `Gauge`."""
        return tuple(f"{device}/energy_value" for device in self.devices)

    def interpret(self, moments: Sequence[float], texts: Texts) -> Recording:
        """See `Gauge.interpret`."""
        tracks: list[Track] = []
        refresh: list[float] = []
        for device in self.devices:
            readings = _readings(moments, texts[f"{device}/energy_value"])
            own = [at for at, _ in readings]
            refresh += [b - a for a, b in itertools.pairwise(own)]
            channels = sorted({channel for _, values in readings for channel in values})
            tracks += [
                _track(self.rails.get((device, channel), f"CH{channel}"), channel, readings)
                for channel in channels
            ]
        every = sorted(refresh)[len(refresh) // 2] if refresh else None
        return Recording(NAME, BOUNDARY, tuple(tracks), refresh_s=every)


def gauge(files: Files) -> OdpmGauge | None:
    """See `Kind.gauge`."""
    devices = [name for name in files.names() if _is_odpm(files, name)]
    if not devices:
        return None
    rails = {}
    for device in devices:
        try:
            files.read(f"{device}/energy_value")
        except OSError as error:
            raise DeviceError(
                f"ODPM: {device}/energy_value cannot be read: {error.strerror or error}",
                hint="user builds keep it from the shell: use a Perfetto trace, or a rooted phone",
            ) from error
        for number, schematic, name in _RAIL.findall(_text(files, f"{device}/enabled_rails")):
            rails[device, int(number)] = name.strip() or schematic
    return OdpmGauge(tuple(devices), rails)


def read_log(path: Path) -> Recording | None:
    """See `Kind.read_log`: it leaves none."""
    return None


def _is_odpm(files: Files, device: str) -> bool:
    return _text(files, f"{device}/name").strip().endswith("odpm")


def _text(files: Files, path: str) -> str:
    try:
        return files.read(path)
    except OSError:
        return ""


#: Of one channel: how long it has counted (ms), the schematic's name, J.
_Value = tuple[int | None, str, float]


def _readings(
    moments: Sequence[float], texts: Sequence[str | None]
) -> list[tuple[float, dict[int, _Value]]]:
    """New readings with the moment that the meter gives them, on the clock of `moments`."""
    found = []
    for at, text in zip(moments, texts, strict=True):
        own = _TIME.search(text or "")
        if own is not None and text is not None:
            values: dict[int, _Value] = {
                int(number): (int(since) if since else None, schematic, int(energy) / 1e6)
                for number, since, schematic, energy in _CHANNEL.findall(text)
            }
            found.append((at, int(own[1]) / 1e3, values))
    if not found:
        return []
    # A reading cannot be read before it was taken: the smallest delay is the clocks' difference.
    offset = min(at - own_s for at, own_s, _ in found)
    new = [found[0], *(b for a, b in itertools.pairwise(found) if b[1] != a[1])]
    return [(own_s + offset, values) for _, own_s, values in new]


def _track(name: str, channel: int, readings: Sequence[tuple[float, dict[int, _Value]]]) -> Track:
    here = [(at, values[channel]) for at, values in readings if channel in values]
    flaws = []
    for (a, (old_t, old_name, old)), (b, (new_t, new_name, new)) in itertools.pairwise(here):
        shorter = old_t is not None and new_t is not None and new_t < old_t
        if shorter or new < old or old_name != new_name:
            reason = f"{name}: the rail's duration or energy fell: it was swapped for another"
            flaws.append(Flaw(a, b, reason))
    return Track(
        name,
        "counter",
        [at for at, _ in here],
        [joules for _, (_, _, joules) in here],
        quantum_j=_QUANTUM_J,
        flaws=tuple(flaws),
    )
