"""The same work on a Ray cluster: one task for each app, in a worker process of its own.

Paths and the store must be reachable from every node: shared folders, or URLs of object storage. A
task whose node is lost is done again elsewhere; what is finished comes back to this process, which
alone writes the store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import msgspec

from edgewise.apps.scan import Target
from edgewise.apps.workers import Bounds, Known, scan_many
from edgewise.errors import InputError, MissingExtra
from edgewise.records import App

#: The address that starts a cluster on this machine.
LOCAL = "local"
#: Tasks asked for beyond those that run: enough that no core waits.
_AHEAD = 4
_RETRIES = 5
_WARNING = 30


def scan_on_ray(
    targets: list[Target],
    address: str,
    known: dict[str, Known],
    bounds: Bounds | None = None,
    weights: bool = False,
) -> Iterator[tuple[int, App, bool]]:
    """As `workers.scan_many`, on a cluster.

    Raises:
        MissingExtra: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("ray", "`scan --ray`") from error
    if not ray.is_initialized():
        _start(ray, address)
    cores = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    task = ray.remote(num_cpus=1, max_retries=_RETRIES)(scan_here)
    most = _AHEAD + _AHEAD * cores
    waiting = iter(enumerate(targets))
    running: dict[Any, int] = {}
    limits = bounds or Bounds()
    while True:
        while len(running) < most and (following := next(waiting, None)) is not None:
            number, target = following
            before = known.get(target.path)
            digest = before.sha256 if before else None
            reference = task.remote(target, digest, limits.seconds, limits.memory_bytes, weights)
            running[reference] = number
        if not running:
            return
        (done, *_), _ = ray.wait(list(running), num_returns=1)
        number = running.pop(done)
        try:
            app = msgspec.msgpack.decode(ray.get(done), type=App | None)
        except ray.exceptions.RayError as error:
            app = App(path=targets[number].path, error=f"lost: {type(error).__name__}")
        if app is None:
            yield number, known[targets[number].path].app, False
        else:
            yield number, app, True


def _start(ray: Any, address: str) -> None:
    """Connect to the cluster, or start one here.

    Raises:
        InputError: that fails; says why in Ray's words.
    """
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # a busy machine takes its time
    where = None if address == LOCAL else address
    try:
        ray.init(where, log_to_driver=False, include_dashboard=False, logging_level=_WARNING)
    except Exception as error:
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise InputError(f"--ray {address}: {first[0]}") from error


def scan_here(
    target: Target, known: str | None, seconds: float, memory_bytes: int, weights: bool
) -> bytes:
    """A task: the record of one app, or of None where its bytes are those known."""
    before = {target.path: Known(known, App(path=target.path))} if known else {}
    found = scan_many(
        [target], jobs=1, bounds=Bounds(seconds, memory_bytes), known=before, weights=weights
    )
    ((_, app, new),) = found
    return msgspec.msgpack.encode(app if new else None)
