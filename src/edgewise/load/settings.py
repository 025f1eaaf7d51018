"""What a load is: one frozen object that refuses half-given settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgewise.errors import UsageError

Kept = Literal["warm", "fresh"]


@dataclass(frozen=True)
class LoadSettings:
    """LoadSettings of a run.

    Either `requests`, counted after the warm-up, or `seconds` bounds it. `arrivals` is as
    `selection.arrivals` reads it. Client i has link i modulo their number, unshaped where there
    are none. `cores` are those that the generator is kept on, empty: any; `realtime` lets it in
    before everything else there, where the system allows that. A request that has no answer after
    `timeout_s` has failed.
    """

    url: str
    model: str
    inputs: tuple[Path, ...]
    arrivals: str = "poisson:10"
    requests: int | None = None
    seconds: float | None = None
    warmup_s: float = 0.0
    sla_ms: float | None = None
    links: tuple[str, ...] = ()
    clients: int = 1
    connection: Kept = "warm"
    timeout_s: float = 10.0
    seed: int = 0
    token: str | None = None
    ca: Path | None = None
    labels: Path | None = None
    processes: int = 1
    cores: tuple[int, ...] = ()
    realtime: bool = True
    samples: bool = False

    def __post_init__(self) -> None:
        if (self.requests is None) == (self.seconds is None):
            raise UsageError("a load needs an end", hint="give either --requests or --seconds")
        if self.connection not in ("warm", "fresh"):
            raise UsageError(f"--connection {self.connection}", hint="warm or fresh")
        for name, value in (
            ("requests", self.requests), ("seconds", self.seconds), ("sla", self.sla_ms),
            ("clients", self.clients), ("timeout", self.timeout_s), ("processes", self.processes),
        ):  # fmt: skip
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"--{name} {value:g}", hint="it is above 0")
        if not 0 <= self.warmup_s < float("inf"):
            raise UsageError(f"--warmup {self.warmup_s:g}", hint="it is 0 or more seconds")
        if self.processes > self.clients:
            raise UsageError(
                f"{self.processes} processes for {self.clients} clients",
                hint="a client lives in one process: give more --clients",
            )
        self._check_cores()

    def _check_cores(self) -> None:
        if not self.cores:
            return
        if not hasattr(os, "sched_setaffinity"):
            raise UsageError("this system cannot keep a process on cores", hint="leave out --cores")
        if absent := set(self.cores) - os.sched_getaffinity(0):
            raise UsageError(f"there is no core {min(absent)} for the generator")
