"""llama.cpp's `llama-bench`: a Markdown table, CSV, JSON, JSON Lines or SQL."""

from __future__ import annotations

import csv
import json
import re
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from edgewise.records import Reported

NAME = "llama-bench"
_HEAD = re.compile(r"^\|\s*model\s*\|.*\|\s*t/s\s*\|\s*$", re.M)
_INSERT = re.compile(r"^INSERT INTO \w+ \(([^)]*)\) VALUES \((.*)\);", re.M)


def recognise(text: str) -> bool:
    """Whether it is this tool's output in one of its forms."""
    start = text.lstrip()[:4096]
    if start.startswith(("[", "{", "build_commit,")):
        return '"avg_ts"' in start or '"n_gen"' in start or start.startswith("build_commit,")
    return bool(_HEAD.search(text) or ("build_commit" in start and _INSERT.search(text)))


def read(text: str, exit_status: int | None = None) -> list[Reported]:
    """One record per test."""
    if _HEAD.search(text):
        return list(_table(text))
    return [_object(each) for each in _objects(text)]


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    start = text.lstrip()
    if start.startswith("["):
        yield from (each for each in json.loads(text) if isinstance(each, dict))
    elif start.startswith("{"):
        yield from (json.loads(line) for line in text.splitlines() if line.startswith("{"))
    elif start.startswith("build_commit,"):
        yield from csv.DictReader(start.splitlines())
    else:
        for columns, values in _INSERT.findall(text):
            names = [each.strip() for each in columns.split(",")]
            row = next(csv.reader([values], quotechar="'", skipinitialspace=True))
            yield dict(zip(names, row, strict=False))


def _object(said: Mapping[str, Any]) -> Reported:
    prompt, generated = _int(said.get("n_prompt")) or 0, _int(said.get("n_gen")) or 0
    depth = _int(said.get("n_depth")) or 0
    ns = said.get("samples_ns")
    samples = tuple(each / 1e6 for each in ns) if isinstance(ns, list) and ns else None
    mean_ns = _float(said.get("avg_ns"))
    if samples is not None:
        mean_ms: float | None = statistics.fmean(samples)
    else:
        mean_ms = None if mean_ns is None else mean_ns / 1e6
    backend = said.get("backends") or said.get("backend")
    return Reported(
        tool=NAME,
        model=said.get("model_type"),
        threads=_int(said.get("n_threads")),
        delegate=str(backend).lower() if backend else None,
        test=_test(prompt, generated, depth),
        tokens_per_s=_float(said.get("avg_ts")),
        tokens_per_s_std=_float(said.get("stddev_ts")),
        n=len(samples) if samples else None,
        mean_ms=mean_ms,
        samples_ms=samples,
    )


def _test(prompt: int, generated: int, depth: int) -> str:
    if prompt and generated:
        name = f"pp{prompt}+tg{generated}"
    else:
        name = f"pp{prompt}" if prompt else f"tg{generated}"
    return f"{name} @ d{depth}" if depth else name


def _table(text: str) -> Iterator[Reported]:
    columns: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = [each.strip() for each in line.strip().strip("|").split("|")]
        if cells[0] == "model":
            columns = cells
        elif columns and len(cells) == len(columns) and not set(cells[0]) <= {"-", ":", " "}:
            row = dict(zip(columns, cells, strict=True))
            mean, _, spread = row.get("t/s", "").partition("±")
            yield Reported(
                tool=NAME,
                model=row["model"],
                threads=_int(row.get("threads")),
                delegate=row["backend"].lower() if row.get("backend") else None,
                test=row.get("test"),
                tokens_per_s=_float(mean),
                tokens_per_s_std=_float(spread),
            )


def _int(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def _float(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
