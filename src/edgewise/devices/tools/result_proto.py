"""`benchmark_model --result_file_path`: the message BenchmarkResult in its wire format.

    2 latency (floats, ms)  1 mean 2 min 3 max 4 std 5 median 6 p5 7 p95 8 init 9 first 10 warm-up
    3 memory                1 init KB 2 overall KB 3 peak MB (float)
    4 run                   1 model MB (float) 2 runs 3 warm-ups 4 MB/s (float)

It holds neither samples nor threads, delegate or delegation: the text is needed all the same.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from edgewise.records import Reported

NAME = "benchmark_model --result_file_path"
_MOST_BYTES = 4096
_LATENCY = (
    "mean_ms", "min_ms", "max_ms", "std_ms", "p50_ms", "p5_ms", "p95_ms", "init_ms", "first_ms",
    "warmup_mean_ms",
)  # fmt: skip
Value = float | int | bytes


def recognise(data: bytes) -> bool:
    """Whether these bytes are such a message."""
    return parse(data) is not None


def parse(data: bytes) -> Reported | None:
    """The message, None where the bytes are none."""
    if not 0 < len(data) <= _MOST_BYTES:
        return None
    outer = _fields(data)
    if outer is None or not outer or not set(outer) <= {1, 2, 3, 4}:
        return None
    inner = {}
    for number in (2, 3, 4):
        value = outer.get(number, b"")
        found = _fields(value) if isinstance(value, bytes) else None
        if found is None:
            return None
        inner[number] = found
    latency: dict[str, Any] = {
        name: _number(inner[2].get(at)) for at, name in enumerate(_LATENCY, 1)
    }
    if all(value is None for value in latency.values()):
        return None
    return Reported(
        tool="benchmark_model",
        **latency,
        init_memory_mb=_mib(inner[3].get(1)),
        overall_memory_mb=_mib(inner[3].get(2)),
        peak_memory_mb=_number(inner[3].get(3)),
        model_size_mb=_number(inner[4].get(1)),
        n=_count(inner[4].get(2)),
        warmup_n=_count(inner[4].get(3)),
    )


def _number(value: Value | None) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _count(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None


def _mib(value: Value | None) -> float | None:
    return value / 1024 if isinstance(value, int | float) else None


def _fields(data: bytes) -> Mapping[int, Value] | None:
    """The fields of a message by their numbers, the last one of each; None where it is broken."""
    found: dict[int, Value] = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value: Value | None
        match key & 7:
            case 0:
                value, at = _varint(data, at)
            case 1 if at + 8 <= len(data):
                value, at = struct.unpack_from("<d", data, at)[0], at + 8
            case 5 if at + 4 <= len(data):
                value, at = struct.unpack_from("<f", data, at)[0], at + 4
            case 2:
                size, at = _varint(data, at)
                if size < 0 or at + size > len(data):
                    return None
                value, at = data[at : at + size], at + size
            case _:
                return None
        if key < 8 or (isinstance(value, int) and value < 0):
            return None
        found[key >> 3] = value
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends; -1 where it does not."""
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    return -1, len(data)
