"""Profiles from a store: what `bench` measured, with the accuracies that `eval` measured."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

import msgspec
import numpy as np

from edgewise.errors import InputError, UsageError
from edgewise.records import AccuracyRow, Measurement, Profile, Target
from edgewise.selection.profiles.table import LEVELS, ProfileTable, table
from edgewise.store import Store

_LEVELS: tuple[float, ...] = tuple(LEVELS.tolist())
#: Quantiles from fewer samples would be those samples.
_ENOUGH = 64


def read_store(url: str, target: str | None = None) -> ProfileTable:
    """Every model of a store that has both a measurement and an accuracy, on one target.

    Of several measurements of a model the last stored one counts. Models are matched by the hash
    of their file, where that is not known by name.

    Args:
        url: the store.
        target: a part of the target's description, such as `litert` or `threads=4`.

    Raises:
        StoreError: the store cannot be read.
        UsageError: the store holds several targets and `target` does not tell which.
        InputError: no model has both.
    """
    store = Store.open(url)
    profiles = profiles_of(_measured(store, target), store.read(AccuracyRow))
    if not profiles:
        raise InputError(
            f"{url}: no measured model has an accuracy", hint="edgewise eval … --store"
        )
    return table(PurePosixPath(url).name, profiles)


def read_times(url: str, target: str | None = None) -> list[Profile]:
    """Every measured model of a store on one target, whether its accuracy is known or not.

    Raises:
        StoreError, UsageError: as `read_store`.
        InputError: the store holds no measurement.
    """
    store = Store.open(url)
    measured = _measured(store, target)
    known = {one.model: one for one in profiles_of(measured, store.read(AccuracyRow))}
    latest = {PurePosixPath(one.model).stem: one for one in measured}
    return [known.get(name) or _without_accuracy(name, one) for name, one in latest.items()]


def _without_accuracy(name: str, measurement: Measurement) -> Profile:
    unknown = AccuracyRow(
        model=name, path=measurement.model, data="", n=0, correct=0,
        accuracy=None, ci95_low=None, ci95_high=None,
    )  # fmt: skip
    return msgspec.structs.replace(profile_of(measurement, unknown), accuracy_source=None)


def _measured(store: Store, target: str | None) -> list[Measurement]:
    measured = [
        one
        for one in store.measurements()
        if one.status == "ok" and one.latency_ms is not None and one.latency_ms.mean is not None
    ]
    if not measured:
        raise InputError(f"{store.url} holds no measurement", hint="edgewise bench … --store")
    return _one_target(store.url, measured, target)


def describe(target: Target) -> str:
    """A target in words, to choose one by."""
    return (
        f"{target.device} {target.runtime} {target.delegate} "
        f"threads={target.threads} batch={target.batch}"
    )


def profiles_of(
    measurements: Iterable[Measurement], accuracies: Iterable[AccuracyRow]
) -> list[Profile]:
    """Profiles of the measured models whose accuracy is known."""
    known: dict[str, AccuracyRow] = {}
    for row in accuracies:
        if row.accuracy is not None:
            known.update({key: row for key in (row.sha256, row.model) if key})
    profiles: dict[str, Profile] = {}
    for one in measurements:
        name = PurePosixPath(one.model).stem
        found = known.get(one.sha256 or "") or known.get(one.model) or known.get(name)
        if found is not None:
            profiles[found.model] = profile_of(one, found)
    return list(profiles.values())


def profile_of(measurement: Measurement, accuracy: AccuracyRow) -> Profile:
    """One measured model's profile; cold is load and first inference."""
    latency = measurement.latency_ms
    if latency is None or latency.mean is None:
        raise InputError(f"the measurement of {measurement.model} has no latency")
    timed = [sample.ms for sample in measurement.samples if sample.phase == "timed"]
    quantiles = np.quantile(timed, LEVELS).tolist() if len(timed) >= _ENOUGH else []
    return Profile(
        model=accuracy.model,
        accuracy=accuracy.accuracy,
        mean_ms=latency.mean,
        std_ms=latency.std or 0.0,
        n=latency.n,
        quantiles_ms=tuple(zip(_LEVELS, quantiles, strict=False)),
        cold_ms=_cold_ms(measurement),
        origin="measured",
        source=describe(measurement.target),
        accuracy_source=f"{accuracy.n} of {accuracy.data}",
        updated_at=measurement.context.started_at,
        energy=measurement.energy,
    )


def _cold_ms(measurement: Measurement) -> float | None:
    load, first = measurement.load_ms, measurement.first_ms
    if load is None or load.mean is None or first is None or first.mean is None:
        return None
    return load.mean + first.mean


def _one_target(url: str, measured: list[Measurement], wanted: str | None) -> list[Measurement]:
    names = sorted({describe(one.target) for one in measured})
    matching = [name for name in names if wanted is None or wanted in name]
    if len(matching) != 1:
        raise UsageError(
            f"{url} holds {len(matching)} targets" + (f" with '{wanted}'" if wanted else ""),
            hint="choose by --target: " + "; ".join(names),
        )
    return [one for one in measured if describe(one.target) == matching[0]]
