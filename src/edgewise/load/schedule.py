"""Who sends what and when: fixed before the first request leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import UsageError
from edgewise.load.settings import LoadSettings
from edgewise.selection.workload.arrivals import Arrivals, parse
from edgewise.selection.workload.setup import generator

_CHUNK = 4096
_MOST = 20_000_000


@dataclass(frozen=True, eq=False)
class Schedule:
    """n requests in the order of their time, shapes (n,): `due_ms` counts from the start of the
    run, `client` and `input` are indices. The first `warmup` of them are not counted.

    `from_ms` and `to_ms` bound what is counted, in ms from the start.
    """

    arrivals: Arrivals
    due_ms: NDArray[np.float64]
    client: NDArray[np.intp]
    input: NDArray[np.intp]
    warmup: int
    from_ms: float
    to_ms: float

    def __len__(self) -> int:
        return len(self.due_ms)


def plan(settings: LoadSettings, inputs: int) -> Schedule:
    """The schedule of a run over so many inputs.

    The gaps are those that `selection.queueing` draws for the same arrivals and seed. Clients take
    turns at random, so that a Poisson stream is Poisson for each of them; inputs come in random
    order, each as often as any other.

    Raises:
        UsageError: unknown arrivals, or none within the time.
        InputError: a trace of arrivals that cannot be read.
    """
    arrivals = parse(settings.arrivals)
    from_ms = settings.warmup_s * 1000
    due_ms = _due(arrivals, settings, from_ms)
    warmup = int(np.searchsorted(due_ms, from_ms, side="left"))
    n = len(due_ms)
    if n == warmup:
        raise UsageError(
            f"no request of '{arrivals.name}' falls into {settings.seconds:g} s",
            hint="give more --seconds, or --requests",
        )
    rng = generator(settings.seed, "choice")
    rounds = [rng.permutation(inputs) for _ in range(-(-n // inputs))]
    to_ms = float(due_ms[-1])
    if settings.seconds is not None:
        to_ms = from_ms + settings.seconds * 1000
    return Schedule(
        arrivals=arrivals,
        due_ms=due_ms,
        client=rng.integers(0, settings.clients, n),
        input=np.concatenate(rounds)[:n],
        warmup=warmup,
        from_ms=from_ms,
        to_ms=to_ms,
    )


def _due(arrivals: Arrivals, settings: LoadSettings, from_ms: float) -> NDArray[np.float64]:
    """Times in ms from the start, as many as the settings ask for."""
    rng = generator(settings.seed, "arrivals", 0)
    seconds = settings.seconds or 0.0
    parts: list[NDArray[np.float64]] = []
    first, now_ms, counted = 0, 0.0, 0
    while True:
        part = now_ms + np.cumsum(arrivals.gaps_ms(first, _CHUNK, rng))
        parts.append(part)
        first, now_ms = first + _CHUNK, float(part[-1])
        counted += int((part >= from_ms).sum())
        enough = (
            counted >= settings.requests
            if settings.requests is not None
            else now_ms >= from_ms + seconds * 1000
        )
        if enough:
            break
        if first > _MOST:
            raise UsageError(f"more than {_MOST:,} requests", hint="a run is shorter than that")
    due_ms = np.concatenate(parts)
    if settings.requests is not None:
        return due_ms[: int(np.searchsorted(due_ms, from_ms)) + settings.requests]
    return due_ms[due_ms < from_ms + seconds * 1000]
