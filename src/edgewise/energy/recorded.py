"""What a meter left behind: a log of its own, or a folder with the files it showed over time.

A folder holds `tree/`, the files as they were at first, and `series.jsonl`: lines of `[moment in s,
path, content]`, what a file held from which moment on. `read` turns either into a `Recording`.
"""

from __future__ import annotations

import itertools
import posixpath
from pathlib import Path

import msgspec

from edgewise.energy.meters import registry
from edgewise.energy.meters.contract import Files, Recording
from edgewise.energy.meters.files import Folder
from edgewise.errors import InputError, UsageError

_MOST_BYTES = 1 << 30
_LOG_NAMES = ("*.csv", "*.perfetto-trace", "*.pftrace", "*.pb")


def read(path: Path, meter: str | None = None) -> Recording:
    """A recording from a log, or from a folder of one; `meter` names the kind, None: found out.

    Raises:
        InputError: nothing there is a meter's, or it is broken.
        DeviceError: its files were not readable where it was recorded.
        UsageError: there is no such kind of meter.
    """
    if path.is_dir():
        return _folder(path, meter)
    found = _log(path, meter)
    if found is None:
        what = "log" if meter is None else f"log of {meter}"
        raise InputError(f"{path}: no {what} of a meter that is known")
    return found


def _log(path: Path, meter: str | None) -> Recording | None:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"{path}: more than {_MOST_BYTES} bytes")
    for kind in registry.kinds() if meter is None else (registry.by_name(meter),):
        found = kind.read_log(path)
        if found is not None:
            return found
    return None


def _folder(path: Path, meter: str | None) -> Recording:
    tree = path / "tree" if (path / "tree").is_dir() else path
    series = path / "series.jsonl"
    if series.is_file():
        files: Files = Folder(tree)
        gauge = registry.find(files, meter)
        if gauge is None:
            raise InputError(f"{path}: no {meter or 'meter'} among its files")
        moments, texts = _play(files, gauge.paths, series)
        if not moments:
            raise InputError(f"{series}: it tells no moment")
        return gauge.interpret(moments, texts)
    logs = sorted(
        {file for root in (path, tree) for name in _LOG_NAMES for file in root.glob(name)}
    )
    for log in logs:
        found = _log(log, meter)
        if found is not None:
            return found
    raise InputError(f"{path}: neither series.jsonl nor a log of a meter that is known")


def _play(
    files: Files, paths: tuple[str, ...], series: Path
) -> tuple[list[float], dict[str, list[str | None]]]:
    """The texts of these files at every moment at which any of them was written."""
    now = {path: _first(files, path) for path in paths}
    moments: list[float] = []
    texts: dict[str, list[str | None]] = {path: [] for path in paths}
    for at, lines in itertools.groupby(_lines(series), key=lambda line: line[0]):
        touched = False
        for _, path, content in lines:
            if posixpath.normpath(path) in now:
                now[posixpath.normpath(path)] = None if content is None else str(content)
                touched = True
        if touched:
            if moments and at < moments[-1]:
                raise InputError(f"{series}: time runs backwards at {at}")
            moments.append(at)
            for path, text in now.items():
                texts[path].append(text)
    return moments, texts


def _first(files: Files, path: str) -> str | None:
    try:
        return files.read(path)
    except OSError:
        return None


def _lines(series: Path) -> list[tuple[float, str, str | int | float | None]]:
    decoder = msgspec.json.Decoder(tuple[float, str, str | int | float | None])
    try:
        return decoder.decode_lines(series.read_bytes())
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise InputError(
            f"{series}: lines of [moment, path, content] are wanted: {error}"
        ) from error


def window(text: str) -> tuple[float, float]:
    """`20:40` as moments in s.

    Raises:
        UsageError: it is no such pair.
    """
    begin, _, end = text.partition(":")
    try:
        found = float(begin), float(end)
    except ValueError:
        found = (0.0, 0.0)
    if not found[0] < found[1]:
        raise UsageError(f"{text!r} is no stretch of time", hint="BEGIN:END in seconds, as 20:40")
    return found
