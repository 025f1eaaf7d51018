"""Any other CSV: columns named as the fields of `Reported`, one row per run; or one row per sample
with the column `ms`, put together by model and whatever else the rows agree on."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import msgspec

from edgewise.errors import InputError
from edgewise.records import Reported

NAME = "CSV"
_TEXT = ("tool", "model", "test", "delegate", "delegated", "affinity", "status", "reason")
_COUNTS = (
    "n", "warmup_n", "threads", "delegate_kernels", "nodes", "nodes_delegated", "partitions",
    "exit", "prompt_tokens", "generated_tokens",
)  # fmt: skip
_FIELDS = {each.name for each in msgspec.structs.fields(Reported)} - {"layers", "samples_ms"}
_SAMPLE = "ms"


def recognise(text: str) -> bool:
    """Whether its first line names a model and at least one figure that we know."""
    return _columns(text) is not None


def _columns(text: str) -> list[str] | None:
    first = text.lstrip().split("\n", 1)[0]
    columns = [each.strip() for each in next(csv.reader([first]), [])]
    figures = [
        each for each in columns
        if each == _SAMPLE or (each in _FIELDS and each.endswith(("_ms", "_per_s")))
    ]  # fmt: skip
    return columns if "model" in columns and figures else None


def read(text: str, exit_status: int | None = None) -> list[Reported]:
    """One record per row, or per group of rows that are samples.

    Raises:
        InputError: a cell is no number.
    """
    columns = _columns(text)
    assert columns is not None
    rows = csv.DictReader(text.lstrip().splitlines()[1:], fieldnames=columns)
    if _SAMPLE not in columns:
        return [Reported(**_row(row, at)) for at, row in enumerate(rows, 2)]
    groups: dict[tuple[tuple[str, Any], ...], list[float]] = {}
    for at, row in enumerate(rows, 2):
        ms = _number(row[_SAMPLE], float, _SAMPLE, at)
        if ms is not None:
            groups.setdefault(tuple(_row(row, at).items()), []).append(ms)
    return [_of_samples(dict(known), samples) for known, samples in groups.items()]


def _of_samples(known: dict[str, Any], samples: list[float]) -> Reported:
    figures = {
        "n": len(samples), "mean_ms": fmean(samples),
        "min_ms": min(samples), "max_ms": max(samples),
    }  # fmt: skip
    return Reported(**(known | figures), samples_ms=tuple(samples))


def _row(row: Mapping[str | None, Any], at: int) -> dict[str, Any]:
    known: dict[str, Any] = {"tool": "csv"}
    for name in _FIELDS & {key for key in row if key}:
        said = (row[name] or "").strip()
        if not said:
            continue
        if name in _TEXT:
            known[name] = said
        else:
            known[name] = _number(said, int if name in _COUNTS else float, name, at)
    return known


def _number(said: str | None, kind: type[int] | type[float], name: str, at: int) -> Any:
    try:
        return kind(said) if said else None
    except ValueError as error:
        raise InputError(f"line {at}: {name} is {said!r}, no number") from error
