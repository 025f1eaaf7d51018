"""The links of the clients: a shaping proxy between each of them and the server, or nothing.

All proxies run in one process of their own: they share no interpreter lock with the generator,
which has to be in time, and one event loop for eight of them leaves more of a small machine to the
service than eight processes do.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from edgewise.errors import UsageError, WorkerFailed
from edgewise.protocol.http.target import Target

if TYPE_CHECKING:
    from edgewise.network.shaping.pacing import Shape

_LOOPBACK = "127.0.0.1"
_END_S = 5.0


class Address(NamedTuple):
    """Where a client connects to; `link` is None where nothing shapes its way."""

    host: str
    port: int
    link: str | None


def check(links: tuple[str, ...]) -> None:
    """Whether all links are known.

    Raises:
        UsageError, InputError: one is not, or is a published pair, which has no rate.
    """
    for spec in links:
        _shape(spec, 0, tls=False)


@contextmanager
def opened(
    target: Target, links: tuple[str, ...], clients: Iterable[int], seed: int, *, realtime: bool
) -> Iterator[dict[int, Address]]:
    """The clients' ways to the server while it is entered; client i has link i modulo their number.

    Raises:
        UsageError, InputError: as `check`.
        WorkerFailed: the process of the proxies ended.
    """
    host = target.address or target.host
    numbers = list(clients)
    if not links:
        yield dict.fromkeys(numbers, Address(host, target.port, None))
        return
    specs = {number: links[number % len(links)] for number in numbers}
    shapes = [_shape(specs[number], seed + number, tls=target.tls) for number in numbers]
    with _proxies(host, target.port, shapes, realtime=realtime) as ports:
        yield {
            number: Address(_LOOPBACK, port, specs[number])
            for number, port in zip(numbers, ports, strict=True)
        }


def _shape(spec: str, seed: int, *, tls: bool) -> Shape:
    """A link as the shaper takes it. A trace begins at a place of its own for every seed; TLS
    brings its own flights, so that only TCP's handshake is charged."""
    from edgewise.network import catalogue
    from edgewise.network.link import HANDSHAKE_ROUND_TRIPS
    from edgewise.network.shaper import shape_of

    shape = shape_of(
        f"link:{spec}" if spec in catalogue.links() else spec,
        seed=seed,
        handshake_round_trips=1 if tls else HANDSHAKE_ROUND_TRIPS,
    )
    if not shape.uplink.period_ms:
        return shape
    start = np.random.default_rng(seed).uniform(0, shape.uplink.period_ms)
    return replace(shape, trace_ms=float(start))


@contextmanager
def _proxies(host: str, port: int, shapes: list[Shape], *, realtime: bool) -> Iterator[list[int]]:
    """A proxy per shape: their ports, while it is entered."""
    # No multiprocessing: it would run the caller's script again, which may not be made for that.
    command = [sys.executable, "-m", "edgewise.load.proxies"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(pickle.dumps((host, port, shapes, realtime)))
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise WorkerFailed("the process that shapes the links ended")
        told = msgspec.json.decode(line)
        if isinstance(told, str):
            raise UsageError(told)
        yield told
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
