"""What a meter offers: the contract of this room.

A kind of meter is a module (or any object) with the names of `Kind`. It is given the files of a
device, wherever they are, and says which of them it reads (`Gauge.paths`) and what their texts mean
(`Gauge.interpret`): so a live meter, a folder that somebody recorded, and a phone behind a cable
share everything but the reading. To add one from another package, declare the module under the
entry-point group `edgewise.meters`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

#: What a file held at each moment; None where it could not be read then.
Texts = Mapping[str, Sequence[str | None]]


class Files(Protocol):
    """The files of a device below the folder where a kind of meter lives. Paths are relative."""

    def read(self, path: str) -> str:
        """What a file holds now.

        Raises:
            OSError: it is not there, or not for us.
        """
        ...

    def names(self, folder: str = "") -> list[str]:
        """The names in a folder, sorted; none where it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Flaw:
    """A stretch of time (s) about which nothing can be said, and why."""

    from_s: float
    to_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Track:
    """What one rail, zone or channel said.

    `values` are joules since some moment (`kind` "counter"), or the power in W from each moment of
    `times_s` to the next ("power"). `quantum_j` is the smallest step of a counter. `counted`: it is
    part of the meter's sum; others lie inside one that is. `flaws` as in `Flaw`.
    """

    name: str
    kind: Literal["counter", "power"]
    times_s: Sequence[float]
    values: Sequence[float]
    counted: bool = True
    quantum_j: float | None = None
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """What a meter said from its start to its stop. `flaws` concern all tracks.

    `refresh_s` is how often it had something new, `details` what was found out about it (the unit
    and the sign of a battery's current).
    """

    meter: str
    boundary: str
    tracks: tuple[Track, ...]
    flaws: tuple[Flaw, ...] = ()
    refresh_s: float | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Gauge(Protocol):
    """One meter that was found: which files it reads, and what they mean."""

    name: str
    #: What is inside the measured boundary, in words.
    boundary: str
    #: Reading it more often than this many times a second tells nothing new.
    rate_hz: float
    paths: tuple[str, ...]

    def interpret(self, moments: Sequence[float], texts: Texts) -> Recording:
        """From the texts of `paths` at each of `moments` (s, rising) to what they mean."""
        ...


class Meter(Protocol):
    """A meter that runs: `start`, later `stop`, then `samples`.

    `rate_hz` is how often it is read, `resolution_j` its smallest step (None: not known before it
    was read), `boundary` what is inside. Moments are those of `time.monotonic`.
    """

    name: str
    boundary: str
    rate_hz: float
    resolution_j: float | None

    def start(self) -> None:
        """Begin. Raises DeviceError where it cannot be read."""
        ...

    def stop(self) -> None:
        """End. Never raises."""
        ...

    def samples(self) -> Recording:
        """What it said since `start`."""
        ...


class Kind(Protocol):
    """A kind of meter; a module is one. `HOMES` are the folders of a Linux system where its files
    lie, first the usual one; none for a meter that only leaves logs."""

    NAME: str
    #: One line for help texts: what it reads.
    HELP: str
    HOMES: tuple[str, ...]

    def gauge(self, files: Files) -> Gauge | None:
        """The meter among these files, None where there is none of this kind.

        Raises:
            DeviceError: it is there and cannot be read; the hint says how to be let.
        """
        ...

    def read_log(self, path: Path) -> Recording | None:
        """A log that this kind of meter leaves; None where the file is no such log.

        Raises:
            InputError: it is one, and broken.
        """
        ...
