"""Jetson: the INA sensors of NVIDIA's boards.

JetPack 5 and later (hwmon, `ina3221`): `inN_input` mV, `currN_input` mA, `inN_label`. JetPack 4
(iio, `ina3221x`): `in_powerN_input` mW, `rail_name_N`. Thor (hwmon, `ina238`): `power1_input` µW.
One rail is the board's input, the others lie in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgewise.energy.meters.contract import Files, Recording, Texts, Track
from edgewise.errors import DeviceError

NAME = "jetson"
HELP = "power sensors of NVIDIA's boards (hwmon, iio)"
HOMES = ("sys/class/hwmon", "sys/bus/iio/devices")
_SENSORS = re.compile(r"ina(3221x?|238|237|226|219)")
#: The rail that holds all others.
_TOTAL = re.compile(r"(VDD_IN|VIN|POM_5V_IN|VIN_SYS_5V0|VDD_TOTAL)$", re.I)


@dataclass(frozen=True, slots=True)
class _Channel:
    """A rail: its power in W is the product of its files' numbers times `scale`."""

    name: str
    files: tuple[str, ...]
    scale: float


@dataclass(frozen=True, slots=True)
class JetsonGauge:
    """See `Gauge`."""

    channels: tuple[_Channel, ...]
    unreadable: tuple[str, ...]
    name: str = NAME
    rate_hz: float = 20.0

    @property
    def total(self) -> str | None:
        """The name of the rail that holds all others."""
        return next((each.name for each in self.channels if _TOTAL.match(each.name)), None)

    @property
    def boundary(self) -> str:
        """See `Gauge`."""
        return f"the board, at {self.total}" if self.total else "the sum of the listed rails"

    @property
    def paths(self) -> tuple[str, ...]:
        """See `Gauge`."""
        return tuple(dict.fromkeys(file for each in self.channels for file in each.files))

    def interpret(self, moments: Sequence[float], texts: Texts) -> Recording:
        """See `Gauge.interpret`."""
        tracks = []
        for channel in self.channels:
            times, watts = [], []
            columns = [texts[file] for file in channel.files]
            for at, *numbers in zip(moments, *columns, strict=True):
                value = _product(numbers)
                if value is not None:
                    times.append(at)
                    watts.append(value * channel.scale)
            counted = self.total in (None, channel.name)
            tracks.append(Track(channel.name, "power", times, watts, counted))
        notes = tuple(f"{name}: cannot be read" for name in self.unreadable)
        return Recording(NAME, self.boundary, tuple(tracks), notes=notes)


def gauge(files: Files) -> JetsonGauge | None:
    """See `Kind.gauge`."""
    channels: list[_Channel] = []
    unreadable: list[str] = []
    for device in files.names():
        if not _SENSORS.fullmatch(_text(files, f"{device}/name")):
            continue
        for channel in _channels(files, device):
            if all(_readable(files, file) for file in channel.files):
                channels.append(channel)
            else:
                unreadable.append(channel.name)
    if not channels and not unreadable:
        return None
    if not channels:
        raise DeviceError(f"Jetson: no rail can be read ({', '.join(unreadable)})")
    return JetsonGauge(tuple(channels), tuple(unreadable))


def read_log(path: Path) -> Recording | None:
    """See `Kind.read_log`: it leaves none."""
    return None


def _channels(files: Files, device: str) -> list[_Channel]:
    names = files.names(device)
    found = []
    for file in names:
        if label := re.fullmatch(r"(?:in|power)(\d+)_label", file):
            found.append(_hwmon(names, device, label[1], _text(files, f"{device}/{file}")))
        elif label := re.fullmatch(r"rail_name_(\d+)", file):
            power = f"{device}/in_power{label[1]}_input"
            found.append(_Channel(_text(files, f"{device}/{file}"), (power,), 1e-3))
    unique = {each.name: each for each in found if each is not None}
    return list(unique.values())


def _hwmon(names: Sequence[str], device: str, number: str, name: str) -> _Channel | None:
    """A channel by its power where the driver tells it, else voltage times current."""
    if "shunt" in name.lower():  # the sum over all shunts: no rail
        return None
    if f"power{number}_input" in names:
        return _Channel(name, (f"{device}/power{number}_input",), 1e-6)
    files = (f"{device}/in{number}_input", f"{device}/curr{number}_input")
    return _Channel(name, files, 1e-6)


def _text(files: Files, path: str) -> str:
    try:
        return files.read(path).strip()
    except OSError:
        return ""


def _readable(files: Files, path: str) -> bool:
    try:
        return _number(files.read(path)) is not None
    except OSError:
        return False


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _product(texts: Sequence[str | None]) -> float | None:
    value = 1.0
    for text in texts:
        number = _number(text)
        if number is None:
            return None
        value *= number
    return value
