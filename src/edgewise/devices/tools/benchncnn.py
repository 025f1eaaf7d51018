"""ncnn's `benchncnn`: a header of settings, one line per network, in ms with two decimals."""

from __future__ import annotations

import re

from edgewise.devices.tools.text import NUMBER
from edgewise.records import Reported

NAME = "benchncnn"
_SETTING = re.compile(
    r"^\s*(loop_count|num_threads|powersave|gpu_device|cooling_down)\s*=\s*(-?\d+)\s*$", re.M
)
_ROW = re.compile(
    rf"^\s*(\S+(?: \S+)*?)\s+min =\s*{NUMBER}\s+max =\s*{NUMBER}\s+avg =\s*{NUMBER}\s*$", re.M
)
#: `powersave`: which cores.
_CORES = {1: "little", 2: "big"}


def recognise(text: str) -> bool:
    """Whether it is this tool's output."""
    return bool(re.search(r"^\s*loop_count\s*=", text, re.M) and "powersave" in text)


def read(text: str, exit_status: int | None = None) -> list[Reported]:
    """One record per network. One that fails to load is a row of zeros."""
    records: list[Reported] = []
    events = sorted(
        [*_SETTING.finditer(text), *_ROW.finditer(text)], key=lambda match: match.start()
    )
    settings: dict[str, int] = {}
    for match in events:
        if match.re is _SETTING:
            settings[match[1]] = int(match[2])
            continue
        records.append(_row(match, settings))
    return records


def _row(match: re.Match[str], settings: dict[str, int]) -> Reported:
    low, high, mean = (float(match[at]) for at in (2, 3, 4))
    gpu = settings.get("gpu_device")
    delegate = None if gpu is None else "vulkan" if gpu >= 0 else "cpu"
    if low == high == mean == 0:
        return Reported(
            tool=NAME, model=match[1], status="failed", delegate=delegate,
            reason="the network could not be loaded",
        )  # fmt: skip
    return Reported(
        tool=NAME, model=match[1], delegate=delegate, threads=settings.get("num_threads"),
        n=settings.get("loop_count"), affinity=_CORES.get(settings.get("powersave", 0)),
        min_ms=low, max_ms=high, mean_ms=mean,
    )  # fmt: skip
