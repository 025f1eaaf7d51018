"""Where profiles come from: published tables, CSV files, files of samples, a store.

Two layouts of CSV are told apart by their header (`delimited` says how a file may be written):

- a table: `model,accuracy,mean_ms,std_ms`, and if known `n`, `cold_ms`, `p50_ms`, `p99.9_ms` …;
- samples: `model,request,inference_ms,correct`, and if known `load_ms`, `confidence`; request n is
  the same input for every model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgewise import delimited
from edgewise.errors import InputError
from edgewise.intervals import wilson
from edgewise.records import Origin, Profile
from edgewise.selection.profiles.table import ENOUGH, LEVELS, Floats, ProfileTable, table, whole
from edgewise.selection.profiles.targets import Wanted

Rows = list[tuple[int, dict[str, str]]]

_DATA = Path(__file__).parent / "data"
_QUANTILE = re.compile(r"p(\d+(?:\.\d+)?)_ms")
_LEVELS: tuple[float, ...] = tuple(LEVELS.tolist())
#: What rounding and interpolation may bring a quantile and a mean apart, as a share.
_OFF = 0.05
_LAYOUTS = "model,accuracy,mean_ms,std_ms or …,p50_ms,p95_ms, or model,request,inference_ms,correct"


@dataclass(frozen=True, eq=False)
class Samples:
    """Real times and answers of M models on the same n requests, the models in `table`'s order.

    `service_ms` and `load_ms` in ms, `correct` bool, `confidence` 0…1: all of shape (n, M).
    """

    table: ProfileTable
    service_ms: Floats
    correct: NDArray[np.bool_]
    load_ms: Floats | None
    confidence: Floats | None

    def __len__(self) -> int:
        return len(self.service_ms)

    def part(self, rows: slice | NDArray[np.intp]) -> Samples:
        """The same models on some of the requests, profiled on those alone."""
        service_ms, correct = self.service_ms[rows], self.correct[rows]
        load_ms = None if self.load_ms is None else self.load_ms[rows]
        confidence = None if self.confidence is None else self.confidence[rows]
        return gather(self.table.name, self.table.models, service_ms, correct, load_ms, confidence)


@dataclass(frozen=True)
class Source:
    """Profiles, and the samples behind them where there are any."""

    table: ProfileTable
    samples: Samples | None = None


def published() -> tuple[str, ...]:
    """Names of the published profile sets that come with the package."""
    return tuple(sorted(path.stem for path in _DATA.glob("*.csv")))


def is_store(where: str) -> bool:
    """Whether profiles are named that a store has."""
    return where not in published() and ("://" in where or Path(where).is_dir())


def load(where: str, *, target: Wanted | None = None) -> Source:
    """Profiles by name, from a file, or from a store.

    Args:
        where: a published name, a CSV file of either layout (also gzipped), or a store.
        target: for a store, which targets count; else each model takes its best.

    Raises:
        InputError: there is no such thing, or it cannot be read as profiles; with line number.
        UsageError: nothing in the store was measured on such a target.
    """
    if where in published():
        path = _DATA / f"{where}.csv"
        return Source(_read_table(where, path, _rows(path), "published"))
    path = Path(where)
    if path.is_file():
        return _load_file(path)
    if is_store(where):
        from edgewise.selection.profiles.stored import read_store

        return Source(read_store(where, target or Wanted()))
    raise InputError(
        f"no profiles at '{where}'",
        hint=f"a CSV file, a store, or one of {', '.join(published())}",
    )


def _load_file(path: Path) -> Source:
    name = path.name.split(".")[0]
    rows = _rows(path)
    if rows and "inference_ms" in rows[0][1]:
        samples = _read_samples(name, path, rows)
        return Source(samples.table, samples)
    return Source(_read_table(name, path, rows, "profile"))


def _rows(path: Path) -> Rows:
    """Rows of a CSV file with their line numbers; columns are named in any case."""
    sheet = delimited.read(path)
    if all(column == column.lower() for column in sheet.columns):
        return sheet.rows
    return [
        (number, {column.lower(): value for column, value in row.items()})
        for number, row in sheet.rows
    ]


def _require(path: Path, rows: Rows, columns: Iterable[str]) -> None:
    if not rows:
        raise InputError(f"{path} lists no model")
    if missing := [column for column in columns if column not in rows[0][1]]:
        raise InputError(f"{path} lacks the column {missing[0]}", hint=_LAYOUTS)


def _number(path: Path, line: int, row: dict[str, str], column: str) -> float:
    try:
        return float(row[column])
    except ValueError:
        raise InputError(
            f"{path}, line {line}: {column} is '{row[column]}', not a number"
        ) from None


def _truth(text: str) -> str:
    """`True` and `False`, as pandas writes them, are 1 and 0."""
    return {"true": "1", "false": "0"}.get(text.lower(), text)


def _read_table(name: str, path: Path, rows: Rows, origin: Origin) -> ProfileTable:
    _require(path, rows, ("model", "accuracy"))
    levels = sorted(
        (round(float(match[1]) / 100, 9), column)
        for column in rows[0][1]
        if (match := _QUANTILE.fullmatch(column))
    )

    moments = ("mean_ms", "std_ms")
    told = len(levels) < ENOUGH or any(column in rows[0][1] for column in moments)
    if told:
        _require(path, rows, moments)

    def profile(line: int, row: dict[str, str]) -> Profile:
        def number(column: str) -> float:
            return _number(path, line, row, column)

        quantiles_ms = tuple((level, number(key)) for level, key in levels if row[key])
        if told:
            mean_ms, std_ms = (number(column) for column in moments)
        else:
            mean_ms, std_ms = _moments(path, line, quantiles_ms)
        return Profile(
            model=row["model"],
            accuracy=number("accuracy"),
            mean_ms=mean_ms,
            std_ms=std_ms,
            n=int(number("n")) if row.get("n") else None,
            quantiles_ms=quantiles_ms,
            cold_ms=number("cold_ms") if row.get("cold_ms") else None,
            origin=origin,
            source=str(path) if origin == "profile" else name,
        )

    profiles = [profile(line, row) for line, row in rows]
    if 0 < max(one.accuracy or 0.0 for one in profiles) <= 1:
        raise InputError(f"{path}: no accuracy is above 1", hint="they are in percent, not shares")
    found = table(name, profiles)
    for (line, _), one in zip(rows, profiles, strict=True):
        _check_moments(path, line, one)
    return found


def _moments(
    path: Path, line: int, quantiles_ms: tuple[tuple[float, float], ...]
) -> tuple[float, float]:
    """Mean and deviation of a distribution that is told by its quantiles alone."""
    times = [ms for _, ms in quantiles_ms]
    if len(times) < ENOUGH or times != sorted(times) or not 0 < times[0] <= times[-1] < math.inf:
        raise InputError(
            f"{path}, line {line}: quantiles that are too few, do not rise or are not positive",
            hint="without mean_ms and std_ms it takes two",
        )
    whole_ms = whole(quantiles_ms)
    return float(whole_ms.mean()), float(whole_ms.std())


def _check_moments(path: Path, line: int, one: Profile) -> None:
    """Refuse a mean and deviation that no distribution with the quantiles has: a share p of values
    up to q puts the mean between q − σ√(p/(1−p)) and q + σ√((1−p)/p) (Cantelli)."""
    for level, ms in one.quantiles_ms:
        odds = math.sqrt(level / (1 - level))
        low, high = ms - one.std_ms * odds, ms + one.std_ms / odds
        if not low - _OFF * ms <= one.mean_ms <= high + _OFF * ms:
            raise InputError(
                f"{path}, line {line}: a mean of {one.mean_ms:g} ms and a deviation of "
                f"{one.std_ms:g} contradict the quantile {100 * level:g} % of {ms:g} ms",
                hint="mean, deviation and quantiles are of the same runs, in ms",
            )


def _read_samples(name: str, path: Path, rows: Rows) -> Samples:
    _require(path, rows, ("model", "request", "inference_ms", "correct"))
    by_model: dict[str, dict[str, tuple[int, dict[str, str]]]] = {}
    for line, row in rows:
        if row["request"] in by_model.setdefault(row["model"], {}):
            raise InputError(f"{path}, line {line}: {row['model']} has this request twice")
        by_model[row["model"]][row["request"]] = line, row
    models = tuple(by_model)
    requests = list(by_model[models[0]])
    for model in models:
        if set(by_model[model]) != set(requests):
            raise InputError(
                f"{path}: {model} was not measured on the same requests as {models[0]}",
                hint="request n is the same input for every model",
            )

    def column(key: str) -> Floats | None:
        if key not in rows[0][1]:
            return None
        cells = [by_model[model][request] for request in requests for model in models]
        if key == "correct":
            cells = [(line, {**row, key: _truth(row[key])}) for line, row in cells]
        values = np.array([_number(path, line, row, key) for line, row in cells])
        if not np.isfinite(values).all() or (values < 0).any():
            raise InputError(f"{path}: {key} has a value that is negative or not finite")
        return values.reshape(len(requests), len(models))

    service_ms, correct = column("inference_ms"), column("correct")
    assert service_ms is not None and correct is not None
    if not np.isin(correct, (0.0, 1.0)).all():
        raise InputError(f"{path}: correct has a value that is neither 0 nor 1")
    return gather(
        name, models, service_ms, correct.astype(bool), column("load_ms"), column("confidence")
    )


def gather(
    name: str,
    models: tuple[str, ...],
    service_ms: Floats,
    correct: NDArray[np.bool_],
    load_ms: Floats | None = None,
    confidence: Floats | None = None,
) -> Samples:
    """Samples with the profiles they make, columns in the table's order; shapes (n, M)."""

    def profile(column: int) -> Profile:
        times = service_ms[:, column]
        low, high = wilson(float(correct[:, column].mean()), len(times))
        cold = None if load_ms is None else float((load_ms[:, column] + times).mean())
        return Profile(
            model=models[column],
            accuracy=float(correct[:, column].mean() * 100),
            mean_ms=float(times.mean()),
            std_ms=float(times.std(ddof=1)) if len(times) > 1 else 0.0,
            n=len(times),
            quantiles_ms=tuple(zip(_LEVELS, np.quantile(times, _LEVELS).tolist(), strict=True)),
            cold_ms=cold,
            origin="measured",
            source=name,
            accuracy_source=f"{len(times)} requests of {name}",
            accuracy_ci95=(100 * low, 100 * high),
        )

    profiles = table(name, [profile(column) for column in range(len(models))])
    order = [models.index(model) for model in profiles.models]
    return Samples(
        profiles,
        service_ms[:, order],
        correct[:, order],
        None if load_ms is None else load_ms[:, order],
        None if confidence is None else confidence[:, order],
    )
