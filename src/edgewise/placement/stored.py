"""What a store knows of the device's energy: joules that a meter saw, and where it was filled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from edgewise.devices import host
from edgewise.energy.computing import Metered, metered
from edgewise.records import Energy
from edgewise.store import Store

_METERED = """
    select sha256, target.device, target.runtime, target.threads, energy, latency_ms.mean,
      context.cpu_model
    from measurements
    where status = 'ok' and target.batch = 1 and latency_ms.mean is not null
      and energy.inference_j is not null and sha256 is not null
    order by stored_at, key
"""
_PROCESSORS = "select distinct context.cpu_model from measurements where target.device = 'host'"


class Ran(NamedTuple):
    """A model's file and how it was run."""

    sha256: str
    runtime: str
    threads: int


def metered_on(store: Store, device: str) -> Mapping[Ran, Metered]:
    """What meters said of inferences on a device, the last word of each. `host` is this machine:
    what was measured on another kind of processor is not counted.

    Raises:
        StoreError: the store cannot be read.
    """
    found: dict[Ran, Metered] = {}
    for sha256, where, runtime, threads, energy, mean_ms, processor in _rows(store, _METERED):
        if where != device or (device == host.NAME and not _is_this(processor)):
            continue
        said = metered(msgspec.convert(energy, Energy), mean_ms)
        if said is not None:
            found[Ran(sha256, runtime, threads)] = said
    return found


def was_filled_here(url: str) -> bool:
    """Whether all that a store has of `host` was measured on a processor like this machine's."""
    named = [name for (name,) in _rows(Store.open(url), _PROCESSORS)]
    return bool(named) and all(_is_this(name) for name in named)


def _is_this(processor: str | None) -> bool:
    return processor is not None and processor == host.describe_context().cpu_model


def _rows(store: Store, sql: str) -> Iterable[tuple[Any, ...]]:
    return store.query(sql)[1]
