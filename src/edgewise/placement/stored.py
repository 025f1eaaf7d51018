"""What a store knows beside times: joules that a meter saw, where it was filled, models' inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
_FED = """
    select sha256, inputs from measurements
    where status = 'ok' and sha256 is not null and len(inputs) > 0
"""
_PARSED = """
    select sha256, inputs from models
    where status = 'parsed' and sha256 in (select sha256 from measurements)
"""
_CHANNELS = (1, 3)


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


def input_sizes(url: str) -> Mapping[str, tuple[int, int]]:
    """Height and width of the images that a store's measured models take, by the hash of the file:
    of those that were looked at, else as whoever measured them fed them.

    Raises:
        StoreError: the store cannot be read.
    """
    store = Store.open(url)
    return {
        sha256: size
        for sql in (_FED, _PARSED)
        for sha256, inputs in _rows(store, sql)
        if (size := _image_size([each["shape"] for each in inputs or ()])) is not None
    }


def _image_size(shapes: Sequence[Sequence[int | None] | None]) -> tuple[int, int] | None:
    """Of a model with one input, an image of one or three channels first or last, in a batch or
    not."""
    if len(shapes) != 1 or shapes[0] is None or len(shapes[0]) not in (3, 4):
        return None
    first, middle, last = shapes[0][-3:]
    height, width = (first, middle) if last in _CHANNELS else (middle, last)
    if last not in _CHANNELS and first not in _CHANNELS:
        return None
    return (height, width) if height and width and min(height, width) > 1 else None
