"""Operator times of `benchmark_model --enable_op_profiling`: its table in the text, and its CSV.

Columns by their headings: there was a `[start]` until about 2020. The run-order table of the
regular runs counts, not that of the initialization, nor the sums by node type (whole µs).
"""

from __future__ import annotations

import re

from edgewise.records import Reported, ReportedLayer

NAME = "benchmark_model --op_profiling_output_mode=csv"
_REGULAR = re.compile(r"Operator-wise Profiling Info for Regular Benchmark Runs")
_RUN_ORDER = re.compile(r"^=+ Run Order =+ *$", re.M)
_CSV_HEAD = re.compile(r"^node type, (?:start, )?first, avg_ms, .*name *$", re.M)


def recognise(text: str) -> bool:
    """Whether it is a file of operator times as CSV."""
    return _CSV_HEAD.search(text) is not None


def read(text: str, exit_status: int | None = None) -> list[Reported]:
    """One record: operators, and nothing else."""
    at = _start(text, _CSV_HEAD)
    assert at is not None
    head, *rows = text[at:].split("\n")
    columns = [each.strip() for each in head.split(",")]
    layers = []
    for row in rows:
        cells = row.split(",")
        if len(cells) < len(columns):
            break
        # A name may hold commas: the tool writes them as tabs.
        by_name = dict(zip(columns, (each.strip(" \r") for each in cells), strict=False))
        layer = _layer(by_name["name"], by_name["node type"], by_name["avg_ms"])
        if layer is None:
            break
        layers.append(layer)
    return [Reported(tool="benchmark_model", exit=exit_status, layers=tuple(layers))]


def table(text: str) -> tuple[ReportedLayer, ...] | None:
    """The operators of the table in a run's text, None where there is none."""
    at = _start(text, _RUN_ORDER)
    if at is None:
        return None
    _, head, *rows = text[at:].split("\n")
    columns = [each.strip().lower() for each in head.strip("\t ").split("\t")]
    if "[avg ms]" not in columns or "[name]" not in columns:
        return None
    layers = []
    for row in rows:
        cells = row.lstrip("\t").split("\t", len(columns) - 1)
        if len(cells) < len(columns):
            break
        by_name = dict(zip(columns, (each.strip() for each in cells), strict=True))
        layer = _layer(by_name["[name]"], by_name["[node type]"], by_name["[avg ms]"])
        if layer is None:
            break
        layers.append(layer)
    return tuple(layers) or None


def _start(text: str, head: re.Pattern[str]) -> int | None:
    """Where the table of the regular runs begins: the first after their title, else the last."""
    title = _REGULAR.search(text)
    if title and (found := head.search(text, title.end())):
        return found.start()
    every = [each.start() for each in head.finditer(text)]
    return every[-1] if every else None


def _layer(name: str, op: str, mean_ms: str) -> ReportedLayer | None:
    try:
        return ReportedLayer(name=name, op=op, mean_ms=float(mean_ms))
    except ValueError:
        return None
