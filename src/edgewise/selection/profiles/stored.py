"""Profiles from a store: what `bench` measured, with the accuracies that `eval` measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
from msgspec import structs

from edgewise.errors import InputError
from edgewise.records import AccuracyRow, Measurement, Profile
from edgewise.selection.profiles.table import LEVELS, ProfileTable, table
from edgewise.selection.profiles.targets import (
    Chosen,
    Wanted,
    choose,
    content,
    describe,
    device_names,
    names,
)
from edgewise.store import Store

_LEVELS: tuple[float, ...] = tuple(LEVELS.tolist())
#: Quantiles from fewer samples would be those samples.
_ENOUGH = 64


def read_store(url: str, wanted: Wanted = Wanted()) -> ProfileTable:  # noqa: B008 - frozen
    """Every model of a store that has both a measurement and an accuracy.

    Each model takes the best of the targets that fit (`targets.choose`) and the evaluation with
    the most inputs; the two are joined by the hash of the file alone. The table's notes say what
    was chosen and left out.

    Raises:
        StoreError: the store cannot be read.
        UsageError: nothing was measured on such a target.
        InputError: no model has both.
    """
    store = Store.open(url)
    measured = _measured(store)
    chosen = choose(store.url, measured, wanted)
    judged = _judged(store.read(AccuracyRow))
    profiles = profiles_of(chosen, judged, measured)
    if not profiles:
        raise InputError(
            f"{url}: no measured model has an accuracy", hint="edgewise eval … --store"
        )
    without = [one.measurement.model for one in chosen if content(one.measurement) not in judged]
    notes = [note for one in chosen if content(one.measurement) in judged for note in one.notes]
    notes += [note for _, said in judged.values() for note in said]
    data = dict.fromkeys(
        judged[key][0].data for one in chosen if (key := content(one.measurement)) in judged
    )
    if len(data) > 1:
        notes.append(f"accuracies are of different data: {', '.join(map(_file, data))}")
    if without:
        notes.append(f"left out, not evaluated: {', '.join(map(_file, without))}")
    return replace(table(PurePosixPath(url).name, profiles), notes=tuple(dict.fromkeys(notes)))


def read_tables(store: Store) -> list[ProfileTable]:
    """What may choose among a store's models, one item at a time: a table of each data set that
    two or more measured models were evaluated on, each on the device that has most of them.

    Models without an evaluation, or of another batch, cost nothing: only the others are read.

    Raises:
        StoreError: the store cannot be read.
    """
    by_data: dict[str, list[AccuracyRow]] = {}
    for row in store.read(AccuracyRow):
        if row.accuracy is not None and row.sha256 is not None:
            by_data.setdefault(row.data, []).append(row)
    if not by_data:
        return []
    measured = store.read(
        Measurement,
        where="status = 'ok' and target.batch = 1 and latency_ms.mean is not null"
        f" and sha256 in ({_quoted(row.sha256 for rows in by_data.values() for row in rows)})",
    )
    name = device_names(measured)
    tables = []
    for data, rows in by_data.items():
        judged = _judged(rows)
        devices: dict[str, list[Measurement]] = {}
        for one in measured:
            if content(one) in judged:
                devices.setdefault(name(one), []).append(one)
        most = max(devices.values(), key=lambda runs: len(set(map(content, runs))), default=[])
        if len(set(map(content, most))) > 1:
            chosen = choose(store.url, most, Wanted())
            device = name(most[0])
            if device == "host":
                device = most[0].context.cpu_model or device
            told = f"{PurePosixPath(data).name} on {device}"
            notes = tuple(dict.fromkeys(note for one in chosen for note in one.notes))
            tables.append(replace(table(told, profiles_of(chosen, judged, measured)), notes=notes))
    return tables


def _quoted(texts: Iterable[str | None]) -> str:
    """As SQL lists them."""
    return ", ".join(sorted({"'" + text.replace("'", "''") + "'" for text in texts if text}))


def read_times(url: str, wanted: Wanted = Wanted()) -> list[Profile]:  # noqa: B008 - frozen
    """Every measured model of a store, whether its accuracy is known or not.

    Raises:
        StoreError, UsageError: as `read_store`.
        InputError: the store holds no measurement.
    """
    return [profile for profile, _ in times_with_notes(url, wanted)]


def accuracies(url: str) -> dict[str, AccuracyRow]:
    """By the hash of the file the evaluation that counts.

    Raises:
        StoreError: the store cannot be read.
    """
    return {key: row for key, (row, _) in _judged(Store.open(url).read(AccuracyRow)).items()}


def of_evaluation(row: AccuracyRow) -> str:
    """What an accuracy of that evaluation says of where it is from."""
    return f"{row.n} of {row.data}"


def times_with_notes(url: str, wanted: Wanted) -> list[tuple[Profile, tuple[str, ...]]]:
    """As `read_times`, with what was chosen and left out for each."""
    store = Store.open(url)
    measured = _measured(store)
    chosen = choose(store.url, measured, wanted)
    judged = _judged(store.read(AccuracyRow))
    called = _called(measured, judged)
    found = []
    for one in chosen:
        key = content(one.measurement)
        row, said = judged.get(key, (None, []))
        profile = (
            _without_accuracy(called[key], one.measurement)
            if row is None
            else profile_of(one.measurement, structs.replace(row, model=called[key]))
        )
        found.append((profile, (*one.notes, *said)))
    return found


def _called(
    measured: Iterable[Measurement], judged: Mapping[str, tuple[AccuracyRow, list[str]]]
) -> dict[str, str]:
    """Each content's name: as the evaluation called it, else as its file is called; by its path
    where two would be called the same. Of all that was measured, whatever of it is asked for."""
    paths = {content(one): one.model for one in measured}
    by_path = names(paths)
    called = {key: judged[key][0].model if key in judged else by_path[key] for key in paths}
    taken = Counter(called.values())
    apart = {key: by_path[key] if taken[name] > 1 else name for key, name in called.items()}
    again = Counter(apart.values())
    return {key: f"{name} · {key[:6]}" if again[name] > 1 else name for key, name in apart.items()}


def _without_accuracy(name: str, measurement: Measurement) -> Profile:
    unknown = AccuracyRow(
        model=name, path=measurement.model, data="", n=0, correct=0,
        accuracy=None, ci95_low=None, ci95_high=None,
    )  # fmt: skip
    return structs.replace(profile_of(measurement, unknown), accuracy_source=None)


def _measured(store: Store) -> list[Measurement]:
    measured = [
        one
        for one in store.measurements()
        if one.status == "ok" and one.latency_ms is not None and one.latency_ms.mean is not None
    ]
    if not measured:
        raise InputError(f"{store.url} holds no measurement", hint="edgewise bench … --store")
    return measured


def _file(path: str) -> str:
    return PurePosixPath(path).name


def _judged(accuracies: Iterable[AccuracyRow]) -> dict[str, tuple[AccuracyRow, list[str]]]:
    """By content the evaluation that counts, and what was left out for it: that of the most
    inputs; of equal ones the last."""
    found: dict[str, list[AccuracyRow]] = {}
    for row in accuracies:
        if row.accuracy is not None and row.sha256 is not None:
            found.setdefault(row.sha256, []).append(row)
    judged = {}
    for sha256, rows in found.items():
        best = max(enumerate(rows), key=lambda pair: (pair[1].n, pair[0]))[1]
        said = [
            f"{best.model}: the evaluation of {best.n} inputs counts, not that of {row.n}"
            for row in [row for row in rows if row.n < best.n][-1:]
        ]
        said += [
            f"{best.model}: stale, not used: an earlier evaluation of {row.n} inputs of "
            f"{_file(row.data)} with {row.accuracy:.4g} %"
            for row in rows
            if row is not best and row.n == best.n and row.accuracy != best.accuracy
        ][-1:]
        judged[sha256] = (best, said)
    return judged


def profiles_of(
    chosen: Iterable[Chosen],
    judged: Mapping[str, tuple[AccuracyRow, list[str]]],
    measured: Iterable[Measurement],
) -> list[Profile]:
    """Profiles of the chosen models whose accuracy is known, among all that were measured."""
    both = [one for one in chosen if content(one.measurement) in judged]
    called = _called(measured, judged)
    return [
        profile_of(one.measurement, structs.replace(judged[key][0], model=called[key]))
        for one in both
        for key in (content(one.measurement),)
    ]


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
        accuracy_source=of_evaluation(accuracy),
        accuracy_ci95=None
        if accuracy.ci95_low is None or accuracy.ci95_high is None
        else (accuracy.ci95_low, accuracy.ci95_high),
        updated_at=measurement.context.started_at,
        energy=measurement.energy,
        sha256=measurement.sha256,
    )


def _cold_ms(measurement: Measurement) -> float | None:
    load, first = measurement.load_ms, measurement.first_ms
    if load is None or load.mean is None or first is None or first.mean is None:
        return None
    return load.mean + first.mean
