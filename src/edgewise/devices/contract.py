"""What a device offers, and what a kind of device declares: the contract of this room.

A kind is one module (or object) that the registry lists, or that another package declares as an
entry point of the group `edgewise.devices`. It turns a name, as `--device` takes it, into devices;
a device says what it is and what state it is in, takes files, and does one measuring job after the
other. Nothing else asks what kind a device is of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from edgewise import records
from edgewise.devices.job import Job, Report
from edgewise.records import Context, DeviceState
from edgewise.sandbox import Limits


@dataclass(frozen=True, slots=True)
class Offer:
    """A runtime that a device has: its name, the formats it runs, how it computes."""

    name: str
    formats: tuple[str, ...]
    delegates: tuple[str, ...]
    default_delegate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user can ask of devices beside the measuring. A kind ignores what is not for it.

    `binary`: the tool that measures there. `screen`: keep it on, or off where the frequency holds.
    `cool_to_c`: wait before every process until the device is no warmer, `cool_wait_s` at most;
    `pause_s` between processes. `detached`: run without the connection; `hub`: `LOCATION:PORT` of
    uhubctl, whose power is cut meanwhile. `reconnect_s`: how long a device may stay away.
    `python`: the interpreter to use on a board. `url`: where to fetch from what is prepared.
    `packages`: a folder with what is served to a browser. `listen`: `ADDRESS:PORT` for it;
    `plain`: no https there. `on_link` gets what a phone saw of its link to here: bytes sent and
    received, ms until the first byte of the answer and from there to the last, of each request.
    """

    binary: Path | None = None
    screen: Literal["keep", "off"] | None = None
    cool_to_c: float | None = None
    cool_wait_s: float = 600.0
    pause_s: float = 0.0
    detached: bool = False
    hub: str | None = None
    reconnect_s: float = 60.0
    packages: Path | None = None
    listen: str | None = None
    python: str | None = None
    url: str | None = None
    plain: bool = False
    on_link: Callable[[Sequence[Sequence[float]]], None] | None = None


#: What a process of a job can be for beside timing runs.
EVERY_PHASE = frozenset({"load", "evicted", "profile", "energy", "sustained"})


class Device(Protocol):
    """One device that can be measured on. Its methods are called by one thread at a time.

    `name` is what records call it, and what `--device` takes. `offers`: the runtimes that it has;
    None: it runs this package's own worker, so those of `runtimes.registry`. `phases`: what beside
    timed runs its processes can do, of `EVERY_PHASE`. Devices of one `place` disturb each other and
    are measured on one after the other; those of different places at the same time.
    """

    name: str
    kind: str
    place: str
    offers: tuple[Offer, ...] | None
    phases: frozenset[str]

    def describe(self) -> records.Device:
        """Identity and facts. What cannot be known is None, with a note that says why.

        Raises:
            DeviceError: it does not answer.
        """
        ...

    def context(self, *, affinity: tuple[int, ...] | None = None) -> Context:
        """The circumstances now; `affinity`: CPUs that a measurement is pinned to.

        Raises:
            DeviceError: it does not answer.
        """
        ...

    def state(self) -> DeviceState:
        """What changes while it measures: temperature, frequency, battery.

        Raises:
            DeviceError: it does not answer.
        """
        ...

    def put(self, file: Path, sha256: str, *, beside: str | None = None) -> str:
        """Have a file there, copied only where it is missing (its content's hash decides); its
        path there, under which `Job.path` and `Job.files` name it. `beside`: a path that `put`
        gave, in whose folder it has to lie under its own name (weights of a model).

        Raises:
            DeviceError: it does not answer, or has no room.
        """
        ...

    def measure(self, job: Job, limits: Limits) -> Report:
        """One process: what it measured.

        Raises:
            EdgewiseError: it failed; the message is the reason that the record gives.
            DeviceGone: the device went away and did not come back.
        """
        ...

    def close(self) -> None:
        """Leave it as it was found; also after it went away. Never raises."""
        ...


class Kind(Protocol):
    """A kind of device. A module is one: no class needed.

    `NAME` is the first word of its devices' names: `adb` of `adb:SERIAL`. `SYNTAX` is how they are
    named, for help texts. `RUNTIMES` are the names of all runtimes that its devices can have; None:
    those of `runtimes.registry`.
    """

    NAME: str
    SYNTAX: str
    RUNTIMES: tuple[str, ...] | None

    def open(self, name: str, options: Options) -> Sequence[Device]:
        """The devices that a name means; several where it holds a wildcard.

        Raises:
            UsageError: no device can have this name.
            DeviceError: there is no such device now, with what to do about it.
        """
        ...

    def present(self) -> Sequence[records.Device]:
        """The devices of this kind that are there now, also those that cannot be measured on yet:
        their notes say why. Never raises for a device that does not answer."""
        ...

    def prepare(self, name: str, options: Options) -> Iterator[str]:
        """Put in place what measuring on a device of this name needs, telling what is done.

        Raises:
            UsageError: nothing of this name can be prepared.
            DeviceError: it cannot be done, with what to do about it.
        """
        ...

    def check_affinity(self, name: str, affinity: tuple[int, ...]) -> None:
        """Refuse CPUs that a device is known not to have, before anything is started.

        Raises:
            UsageError: names them.
        """
        ...
