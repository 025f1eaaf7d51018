"""What is compared by measuring, and how thoroughly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgewise.energy.radio import RadioState
from edgewise.errors import UsageError
from edgewise.family import Preprocess
from edgewise.placement import device
from edgewise.placement.line import DIRECT
from edgewise.placement.process import Device
from edgewise.placement.server import LOCAL, Wanted
from edgewise.placement.wire import Usage
from edgewise.records import Way

Kind = Literal["warm", "fresh"]
_LEAST_PROCESS_S = 60.0


_MISSING = {
    "models": "name model files or families; --profiles compares published ones, --recipe brings "
    "its own"
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared, and how thoroughly.

    `models` are files, files in packages, folders or families. `given` are the questions: a folder
    of photos, images, or an npz file; without them they are made up. `links` by name, as a file,
    or `direct`. `prepared_by` None: photos are sent resized and as they are, and the sooner way
    counts. `how` prepares photos for models that no family speaks for. `processes` load the model,
    `requests` are answered in each way, each within `timeout_s`. `radio`, `gap_ms`: as in
    `Placement`, `capped` as in `Usage`. `power` names a declared power model, `whole_phone`
    counts base and screen too; joules that a meter
    saw on the device are taken from `store`, if it has some.

    Raises:
        UsageError: nothing to do, or a value that is none.
    """

    models: tuple[str, ...]
    given: tuple[Path, ...] = ()
    server: Wanted = field(default_factory=lambda: Wanted(LOCAL))
    links: tuple[str, ...] = (DIRECT,)
    on: Device = field(default_factory=lambda: device.device("host"))
    connections: tuple[Kind, ...] = ("fresh", "warm")
    requests: int = 10
    processes: int = 10
    radio: RadioState = "active"
    gap_ms: float = 0.0
    capped: bool = True
    prepared_by: Way | None = None
    how: Preprocess = field(default_factory=Preprocess)
    threads: int = 1
    affinity: tuple[int, ...] | None = None
    timeout_s: float = 60.0
    power: str | None = None
    whole_phone: bool = False
    store: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("models", "links", "connections"):
            if not getattr(self, name):
                raise UsageError(f"nothing to place: no {name}", hint=_MISSING.get(name))
        for name in ("requests", "processes", "threads"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}", hint="one or more")
        if not 0 <= self.gap_ms < math.inf:
            raise UsageError(f"a gap of {self.gap_ms / 1000:g} s", hint="0 or more")
        if not 0 < self.timeout_s < math.inf:
            raise UsageError(f"a time-out of {self.timeout_s:g} s", hint="above 0")

    @property
    def process_s(self) -> float:
        """What a process of the device may take: it starts, loads and answers many times, which a
        limit for one request says nothing of."""
        return max(self.timeout_s, _LEAST_PROCESS_S)

    def usage(self, connection: Kind) -> Usage:
        """How requests follow each other."""
        return Usage(connection, self.radio, self.requests, self.gap_ms, self.capped)
