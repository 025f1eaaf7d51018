"""ONNX Runtime's `onnxruntime_perf_test`: latencies in seconds, the mean in ms, three spellings."""

from __future__ import annotations

import re

from edgewise.devices.tools.ending import reason
from edgewise.devices.tools.text import NUMBER, number, whole
from edgewise.records import Reported

NAME = "onnxruntime_perf_test"
_MEAN = rf"^Average (?:inference )?time cost: *{NUMBER} *ms"
_PER_UNIT = {"s": 1e3, "sec": 1e3, "ms": 1.0, "us": 1e-3}


def recognise(text: str) -> bool:
    """Whether it is this tool's output."""
    return bool(
        re.search(
            r"^(?:Average|Total|First|Session creation) (?:inference )?time cost:", text, re.M
        )
        or re.search(r"^P50 Latency(?: is|:)", text, re.M)
    )


def read(text: str, exit_status: int | None = None) -> list[Reported]:
    """One record."""
    if exit_status not in (None, 0):
        return [
            Reported(tool=NAME, status="failed", exit=exit_status, reason=reason(text, exit_status))
        ]
    peak = number(rf"^Peak working set size: *{NUMBER}", text)
    return [
        Reported(
            tool=NAME,
            exit=exit_status,
            init_ms=_ms("Session creation time cost", text),
            first_ms=_ms("First inference time cost", text),
            n=whole(r"^(?:Total iterations|Total inference requests|Runs): *(\d+)", text),
            mean_ms=number(_MEAN, text),
            min_ms=_ms("Min Latency", text),
            max_ms=_ms("Max Latency", text),
            p50_ms=_ms("P50 Latency", text),
            p90_ms=_ms("P90 Latency", text),
            p95_ms=_ms("P95 Latency", text),
            p99_ms=_ms("P99 Latency", text),
            peak_memory_mb=None if peak is None else peak / (1 << 20),
        )
    ]


def _ms(name: str, text: str) -> float | None:
    """A time with its unit: `: 0.05 s`, ` is 0.05 sec`, `: 71 ms`."""
    found = re.search(rf"^{name}(?: is|:)? *{NUMBER} *(sec|s|ms|us)\b", text, re.M)
    return float(found[1]) * _PER_UNIT[found[2]] if found else None
