"""How the service is run: one frozen object that refuses half-given settings."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from edgewise.errors import UsageError
from edgewise.selection.profiles.targets import Wanted

MB = 1024 * 1024
_LAST_PORT = 65535
RequestLog = Literal["requests", "errors", "off"]


@dataclass(frozen=True)
class Limits:
    """Bounds on what callers may do. Times in seconds.

    `body_seconds` is for a whole body to arrive, `header_seconds` for a request's head on a fresh
    connection, `idle_seconds` for a connection between requests.
    """

    body_bytes: int = 64 * MB
    body_seconds: float = 60.0
    header_seconds: float = 30.0
    idle_seconds: float = 75.0
    connections: int = 4096
    queue: int = 1024
    inference_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not getattr(self, name) > 0:
                raise UsageError(f"the limit {name} is {getattr(self, name)}", hint="above 0")


@dataclass(frozen=True)
class ServerSettings:
    """ServerSettings of a service.

    Loopback needs nothing further; another address needs a `token` (with `certificate` and `key`
    for TLS) or `insecure`. `sla_ms` is for requests that state no deadline, None: they have none.
    `threads` is what one inference may use, `memory_bytes` bounds what all workers together keep
    resident. `state` is the folder in which learned profiles are kept, `decisions` the store that
    the decision log goes to. `profiles` are times to start from; where that is a store, `target`
    says which of its measurements.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int | None = None
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    workers: int = 0
    threads: int = 1
    policy: str = "deadline"
    sla_ms: float | None = None
    memory_bytes: int | None = None
    batch: int = 1
    state: Path | None = None
    decisions: str | None = None
    profiles: str | None = None
    target: Wanted = Wanted()  # noqa: RUF009 - frozen
    drain_seconds: float = 30.0
    seed: int = 0
    log: RequestLog = "errors"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("TLS needs both a certificate and its key")
        if not self.is_loopback and not self.token and not self.insecure:
            raise UsageError(
                f"{self.host} can be reached from other machines",
                hint="give --token, or --insecure to serve everyone",
            )
        if self.workers < 0 or self.batch < 1:
            raise UsageError(f"{self.workers} workers, batches of {self.batch}")
        if self.threads < 1:
            raise UsageError(f"{self.threads} threads per worker", hint="one or more")
        if self.sla_ms is not None and not 0 < self.sla_ms < math.inf:
            raise UsageError(f"a deadline of {self.sla_ms} ms", hint="it is above 0")
        if not 0 <= self.drain_seconds < math.inf:
            raise UsageError(f"{self.drain_seconds:g} s to drain in", hint="0 or more")
        for port in (self.port, self.grpc_port):
            if port is not None and not 0 <= port <= _LAST_PORT:
                raise UsageError(f"the port {port}", hint=f"0 (any) to {_LAST_PORT}")
        if self.grpc_port is not None and 0 != self.port == self.grpc_port:
            raise UsageError(f"HTTP and gRPC cannot share the port {self.port}")
        if self.memory_bytes is not None and self.memory_bytes < MB:
            raise UsageError(f"a memory budget of {self.memory_bytes} bytes", hint="1 MB or more")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def worker_count(self) -> int:
        """Workers to start: as given, else one for each core that this process may use."""
        return self.workers or max(
            1,
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1,
        )
