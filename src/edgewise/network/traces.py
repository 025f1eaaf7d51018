"""Bandwidth traces in three formats, told apart by their content.

- mahimahi: one integer per line, the millisecond of an opportunity to deliver 1,500 bytes; the
  trace repeats after its last line. Opportunities at millisecond k are read as capacity spread
  over (k − 1, k].
- seconds and Mbps: two numbers per line; the rate holds from the line before to this one.
- CSV with a header: a column of time in seconds (`seconds`, `time_s`, `time`, `t`, `seq_num`) or
  milliseconds (`time_ms`, `timestamp_ms`, `ms`), or none (one row per second), and one of
  throughput whose name ends in `mbps`, `kbps`, `gbps` or `bps`. `trace.csv:COLUMN` names it where
  there are several (Mbps unless its name says otherwise); `trace.csv:carrier=X:run_num=3` keeps
  some rows. `delimited` says how such a file may be written.

A trace with a hole (a value that is missing or not a number, times that do not rise, a gap far
above the usual step) is refused; the word `bridge` (`trace.csv:bridge`) holds the rate over gaps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgewise import delimited
from edgewise.errors import InputError
from edgewise.network.capacity import BYTES_PER_MS, Recorded

#: A mahimahi line is the chance to deliver one packet of this size.
OPPORTUNITY_BYTES = 1500.0
_MAX_PERIOD_MS = 24 * 3600 * 1000
#: No link is faster than ten terabits a second; sums of such rates keep their digits.
_MAX_MBPS = 1e7
#: Columns of time, and what makes seconds of them.
_TIME_COLUMNS = {
    **dict.fromkeys(("seconds", "time_s", "timestamp_s", "time", "t", "seq_num"), 1.0),
    **dict.fromkeys(("time_ms", "timestamp_ms", "ms"), 1e-3),
}
#: How names of columns of throughput end, and what makes Mbps of them; the first that fits counts.
_UNITS = {"mbps": 1.0, "kbps": 1e-3, "gbps": 1e3, "bps": 1e-6}
_BETWEEN = re.compile(r"[,;\s]+")
#: Steps of an irregular recording vary (up to 17 times the median in the Norway commutes).
_GAP_FACTOR = 20.0


#: Line number, seconds, Mbps.
Row = tuple[int, float, float]


@dataclass(frozen=True)
class _Wanted:
    """What follows the path of a trace, between colons."""

    column: str | None = None
    only: dict[str, str] = field(default_factory=dict)
    bridge: bool = False


def split_spec(spec: str) -> tuple[Path, tuple[str, ...]]:
    """A trace as written in options: its path, and the words after it."""
    path, *words = spec.split(":")
    return Path(path), tuple(words)


def read_trace(path: Path, words: Sequence[str] = ()) -> Recorded:
    """A trace from a file.

    Raises:
        InputError: the file cannot be read as a trace, or has a hole: where.
    """
    wanted = _wanted(path, words)
    try:
        numbered = delimited.read_lines(path)
    except InputError as error:
        raise InputError(f"the trace {error.message}", hint=error.hint) from error
    if not numbered:
        raise InputError(f"the trace {path} is empty")
    first = _cells(numbered[0][1])
    if not _is_number(first[0]):
        return _read_csv(path, numbered, wanted)
    if wanted.column or wanted.only:
        raise InputError(f"the trace {path} has no columns to choose from")
    if len(first) == 1:
        return _read_mahimahi(path, numbered)
    return _read_seconds(path, numbered, wanted)


def _wanted(path: Path, words: Sequence[str]) -> _Wanted:
    columns = [word for word in words if "=" not in word and word != "bridge"]
    if len(columns) > 1:
        raise InputError(f"the trace {path}: one column is used, not {' and '.join(columns)}")
    only = dict(word.split("=", 1) for word in words if "=" in word)
    return _Wanted(columns[0] if columns else None, only, "bridge" in words)


def _cells(line: str) -> list[str]:
    return _BETWEEN.split(line.strip())


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _numbers(path: Path, line: int, cells: Sequence[str]) -> list[float]:
    for cell in cells:
        if not _is_number(cell):
            raise InputError(
                f"the trace {path} has a hole in line {line}: '{cell.strip()}' is no number"
            )
    return [float(cell) for cell in cells]


def _read_mahimahi(path: Path, numbered: list[tuple[int, str]]) -> Recorded:
    times = []
    for line, text in numbered:
        if not text.strip().isdecimal():
            raise InputError(
                f"the trace {path} has a hole in line {line}: '{text.strip()}' is no millisecond"
            )
        times.append(int(text))
        if len(times) > 1 and times[-1] < times[-2]:
            raise InputError(f"the trace {path}: the time falls in line {line}")
    if not 0 < times[-1] <= _MAX_PERIOD_MS:
        raise InputError(f"the trace {path} ends at {times[-1]} ms, not within a day")
    # Millisecond 0 of a repetition is the last one of the repetition before.
    at_ms, opportunities = np.unique([time or times[-1] for time in times], return_counts=True)
    edges_ms = np.unique(np.concatenate([[0], at_ms - 1, at_ms])).astype(np.float64)
    rate = np.zeros(len(edges_ms) - 1)
    rate[np.searchsorted(edges_ms, at_ms) - 1] = opportunities * OPPORTUNITY_BYTES / BYTES_PER_MS
    return Recorded(edges_ms, rate)


def _read_seconds(path: Path, numbered: list[tuple[int, str]], wanted: _Wanted) -> Recorded:
    rows: list[Row] = []
    for line, text in numbered:
        cells = _cells(text)
        if len(cells) != 2:
            raise InputError(f"the trace {path} has a hole in line {line}: '{text.strip()}'")
        seconds, mbps = _numbers(path, line, cells)
        rows.append((line, seconds, mbps))
    return _recorded(path, rows, wanted, by_number=False)


def _read_csv(path: Path, numbered: delimited.Lines, wanted: _Wanted) -> Recorded:
    try:
        columns, table = delimited.parse(path, numbered)
    except InputError as error:
        raise InputError(f"the trace {error.message}", hint=error.hint) from error
    value_column, unit = _value_column(path, columns, wanted.column)
    if unknown := [column for column in wanted.only if column not in columns]:
        raise InputError(f"the trace {path} has no column {unknown[0]}")
    table = [
        (line, row)
        for line, row in table
        if all(row[column] == value for column, value in wanted.only.items())
    ]
    lower = {column.lower(): column for column in columns}
    time_name = next((name for name in _TIME_COLUMNS if name in lower), None)
    rows: list[Row] = []
    for line, row in table:
        cells = [row[lower[time_name]] if time_name else str(len(rows)), row[value_column]]
        time, rate = _numbers(path, line, cells)
        seconds = time * _TIME_COLUMNS[time_name] if time_name else time
        rows.append((line, seconds, rate * unit))
    return _recorded(path, rows, wanted, by_number=time_name in (None, "seq_num"))


def _value_column(path: Path, columns: Sequence[str], named: str | None) -> tuple[str, float]:
    """The column of throughput, and what makes Mbps of it."""
    units = {
        column: unit
        for column in columns
        if (unit := next((_UNITS[end] for end in _UNITS if column.lower().endswith(end)), None))
    }
    if named is not None:
        if named in columns:
            return named, units.get(named, 1.0)
        raise InputError(f"the trace {path} has no column {named}", hint=", ".join(columns))
    if len(units) == 1:
        return next(iter(units.items()))
    raise InputError(
        f"the trace {path} has {len(units) or 'no'} columns in Mbps",
        hint=f"name one: {path}:{next(iter(units))}"
        if units
        else "a header names one, or two per line",
    )


def _recorded(path: Path, rows: list[Row], wanted: _Wanted, *, by_number: bool) -> Recorded:
    """Rows as a recording; the rate holds until its row's time. `by_number`: whole steps, so that
    a step above the smallest is a row that is missing."""
    if len(rows) < 2:
        raise InputError(f"the trace {path} has {len(rows)} rows, too few for a recording")
    seconds = np.array([row[1] for row in rows])
    rate = np.array([row[2] for row in rows])
    steps = np.diff(seconds)
    if len(bad := np.flatnonzero(steps <= 0)):
        raise InputError(
            f"the trace {path}: the time does not rise in line {rows[int(bad[0]) + 1][0]}",
            hint="of several recordings in one file keep one: FILE.csv:column=value",
        )
    for is_wrong, what in ((rate < 0, "a negative rate"), (rate > _MAX_MBPS, "an absurd rate")):
        if is_wrong.any():
            line = rows[int(np.flatnonzero(is_wrong)[0])][0]
            raise InputError(f"the trace {path} has {what} in line {line}")
    usual = float(steps.min() if by_number else np.median(steps))
    gaps = np.flatnonzero(steps > usual * (1 if by_number else _GAP_FACTOR))
    if len(gaps) and not wanted.bridge:
        line = rows[int(gaps[0]) + 1][0]
        raise InputError(
            f"the trace {path} has a hole of {steps[gaps[0]]:g} s before line {line}",
            hint=f"hold the rate over it: {path}:bridge",
        )
    if seconds[-1] - seconds[0] > _MAX_PERIOD_MS / 1000:
        raise InputError(f"the trace {path} is longer than a day")
    # The first row's rate held for a step before it.
    edges_ms = np.concatenate([[0.0], (seconds - seconds[0] + usual) * 1000])
    try:
        return Recorded(edges_ms, rate)
    except InputError as error:
        raise InputError(f"the trace {path}: {error.message}") from error
