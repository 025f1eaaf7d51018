"""Perfetto traces: the power rails and the battery of an Android phone.

A trace is one protobuf message of packets (field 1): `timestamp` (8, ns), `battery` (38: 1 µAh,
3 µA, 7 µV), `power_rails` (40: 1 descriptor {1 index, 2 name}, 2 data {1 index, 2 ms, 3 µWs}),
`compressed_packets` (50, zlib). What rails hold is energy, not power. The wire is walked here: the
library that reads traces downloads a program to do it.
"""

from __future__ import annotations

import itertools
import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgewise.energy.meters.contract import Files, Flaw, Gauge, Recording, Track
from edgewise.errors import InputError

NAME = "perfetto"
HELP = "traces with android.power: rails, else the battery (.perfetto-trace)"
HOMES: tuple[str, ...] = ()
BOUNDARY = "the listed rails, not the phone"
_MOST_INFLATED = 1 << 30


@dataclass(slots=True)
class _Found:
    """What the packets said: names of rails, their (ms, µWs) and the packet's moment in ns."""

    names: dict[int, str] = field(default_factory=dict)
    rails: dict[int, list[tuple[int, float, int]]] = field(default_factory=dict)
    battery: list[tuple[int, float]] = field(default_factory=list)
    first_ns: int | None = None
    inflated: int = 0


def gauge(files: Files) -> Gauge | None:
    """See `Kind.gauge`: it leaves logs only."""
    return None


def read_log(path: Path) -> Recording | None:
    """See `Kind.read_log`. Moments count from the trace's first packet."""
    try:
        with path.open("rb") as stream:
            if stream.read(1) != b"\x0a" or not path.stat().st_size:
                return None
            # Not closed here: views into it may live as long as what refers to them.
            found = _walk(memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except _NoMessage:
        return None
    if found.first_ns is None or not (found.rails or found.battery):
        return None
    if not found.rails:
        return _by_battery(found)
    return Recording(NAME, BOUNDARY, tuple(_track(found, index) for index in sorted(found.rails)))


class _NoMessage(ValueError):
    """The bytes are no protobuf message."""


def _walk(view: memoryview) -> _Found:
    found = _Found()
    for number, value in _fields(view):
        if number == 1 and isinstance(value, memoryview):
            _packet(value, found)
    return found


def _packet(view: memoryview, found: _Found) -> None:
    at, kept = 0, []
    for number, value in _fields(view):
        if number == 8 and isinstance(value, int):
            at = value
        elif number in (38, 40) and isinstance(value, memoryview):
            kept.append((number, value))
        elif number == 50 and isinstance(value, memoryview):
            _inflated(value, found)
    if at and (found.first_ns is None or at < found.first_ns):
        found.first_ns = at
    for number, value in kept:
        if number == 40:
            _rails(value, at, found)
        else:
            _battery(value, at, found)


def _inflated(value: memoryview, found: _Found) -> None:
    room = _MOST_INFLATED - found.inflated
    try:
        content = zlib.decompressobj().decompress(value, room)
    except zlib.error as error:
        raise InputError(f"a compressed packet of the trace is broken: {error}") from error
    found.inflated += len(content)
    if found.inflated >= _MOST_INFLATED:
        raise InputError(f"the trace inflates to more than {_MOST_INFLATED} bytes")
    for number, each in _fields(memoryview(content)):
        if number == 1 and isinstance(each, memoryview):
            _packet(each, found)


def _rails(view: memoryview, at: int, found: _Found) -> None:
    for number, value in _fields(view):
        if not isinstance(value, memoryview):
            continue
        numbers = dict(_fields(value))
        index = numbers.get(1, 0)
        if not isinstance(index, int):
            continue
        name, ms, uws = numbers.get(2), numbers.get(2), numbers.get(3)
        if number == 1 and isinstance(name, memoryview):
            found.names[index] = bytes(name).decode("utf-8", "replace")
        elif number == 2 and isinstance(ms, int) and isinstance(uws, int):
            found.rails.setdefault(index, []).append((ms, uws / 1e6, at))


def _battery(view: memoryview, at: int, found: _Found) -> None:
    numbers = dict(_fields(view))
    current, voltage = numbers.get(3), numbers.get(7)
    if isinstance(current, int) and isinstance(voltage, int) and at:
        found.battery.append((at, abs(_signed(current)) * 1e-6 * voltage * 1e-6))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _track(found: _Found, index: int) -> Track:
    name = found.names.get(index, f"rail {index}")
    read = sorted(found.rails[index])
    first_s = (found.first_ns or 0) / 1e9
    # The meter's own clock; a packet cannot be written before its reading was taken.
    offset = min(at / 1e9 - ms / 1e3 for ms, _, at in read) - first_s
    new = [read[0], *(b for a, b in itertools.pairwise(read) if b[0] != a[0])]
    flaws = tuple(
        Flaw(a[0] / 1e3 + offset, b[0] / 1e3 + offset, f"{name}: its energy fell: it was reset")
        for a, b in itertools.pairwise(new)
        if b[1] < a[1]
    )
    times = [ms / 1e3 + offset for ms, _, _ in new]
    joules = [each for _, each, _ in new]
    return Track(name, "counter", times, joules, quantum_j=1e-6, flaws=flaws)


def _by_battery(found: _Found) -> Recording:
    first = found.first_ns or 0
    times = [(at - first) / 1e9 for at, _ in found.battery]
    track = Track("battery", "power", times, [watts for _, watts in found.battery])
    note = "the trace has no rails: by the battery's current, in µA as Perfetto states it"
    return Recording(NAME, "all that the battery feeds", (track,), notes=(note,))


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of a message; fixed-size fields as their bytes."""
    position, end = 0, len(view)
    while position < end:
        key, position = _varint(view, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(view, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(view, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise _NoMessage
        if not number or position + length > end:
            raise _NoMessage
        yield number, view[position : position + length]
        position += length


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(view) or shift > 63:
            raise _NoMessage
        byte = view[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
