"""Monsoon power monitors: the CSV that their Python library writes.

Its time column is headed ms and holds seconds of the host's clock, equal for the samples of one USB
packet; with numpy 2 cells read `np.float64(…)`; lines end in a comma. With a granularity above 1
it keeps the first samples of each block, so that stretches are missing: they are found by time.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from edgewise.energy.meters.contract import Files, Gauge, Recording, Track
from edgewise.errors import InputError

NAME = "monsoon"
HELP = "Monsoon power monitors: the CSV of their Python library"
HOMES: tuple[str, ...] = ()
BOUNDARY = "all that the monitor's main channel feeds: the whole device"
_CELL = re.compile(r"(?:np\.float(?:64|32)\()?([-+0-9.eE]+|nan|inf)\)?$")
_COLUMNS = {"time": "Time(ms)", "current": "Main(mA)", "voltage": "Main Voltage(V)"}


def gauge(files: Files) -> Gauge | None:
    """See `Kind.gauge`: it is no file of the device."""
    return None


def read_log(path: Path) -> Recording | None:
    """See `Kind.read_log`. Moments count from the first sample."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            head = [cell.strip() for cell in next(csv.reader(stream), [])]
            if "Main(mA)" not in head or not head[0].startswith("Time"):
                return None
            rows = list(csv.reader(stream))
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: {error}") from error
    where = {key: head.index(name) for key, name in _COLUMNS.items() if name in head}
    if len(where) < len(_COLUMNS):
        raise InputError(f"{path}: no column {_COLUMNS['voltage']!r}: energy needs the voltage")
    stamps, watts = [], []
    for row in rows:
        at, current, voltage = (_number(row, where[key]) for key in ("time", "current", "voltage"))
        if at is not None and current is not None and voltage is not None:
            stamps.append(at)
            watts.append(current / 1e3 * voltage)
    if len(stamps) < 2 or any(b < a for a, b in itertools.pairwise(stamps)):
        raise InputError(f"{path}: fewer than two samples, or time runs backwards")
    times = [at - stamps[0] for at in _spread(stamps)]
    unreadable = len(rows) - len(stamps)
    notes = (f"{unreadable} rows could not be read",) if unreadable else ()
    return Recording(NAME, BOUNDARY, (Track("main", "power", times, watts),), notes=notes)


def _number(row: Sequence[str], column: int) -> float | None:
    found = _CELL.match(row[column].strip()) if column < len(row) else None
    try:
        value = float(found[1]) if found else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _spread(stamps: Sequence[float]) -> list[float]:
    """Samples of one packet share its stamp: they are spread to the next packet, at their usual
    distance where the next one is far."""
    packets = [(at, len(list(same))) for at, same in itertools.groupby(stamps)]
    gaps = [(b[0] - a[0]) / a[1] for a, b in itertools.pairwise(packets)]
    usual = statistics.median(gaps) if gaps else 0.0
    spread = []
    for index, (at, count) in enumerate(packets):
        step = min(gaps[index], usual) if index < len(gaps) else usual
        spread += [at + step * each for each in range(count)]
    return spread
