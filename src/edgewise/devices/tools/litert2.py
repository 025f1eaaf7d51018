"""LiteRT 2's own `benchmark_model` (of `CompiledModel`), and `litert-benchmark` of its wheel.

Another program than TensorFlow Lite's of the same name: a block of results in ms with two decimals,
at times with the source's file and line in front; `litert-benchmark --result_json` writes JSON.
"""

from __future__ import annotations

import json
import re
from typing import Any

from edgewise.devices.tools import benchmark_model
from edgewise.devices.tools.ending import reason
from edgewise.devices.tools.text import NUMBER, number, parts, whole
from edgewise.records import Reported

NAME = "benchmark_model (LiteRT 2)"
_BLOCK = re.compile(r"=+ BENCHMARK RESULTS =+")
_SOURCE = re.compile(r"benchmark_litert_model\.(?:h|cc):\d+\]|--use_(?:cpu|npu)\b.*--dispatch_lib")
_TAG = re.compile(r"^[A-Z]+: (?:\[[\w.]+:\d+\] ?)?", re.M)
_BEGIN = r"^(?:INFO: )?(?:\[[\w.]+:\d+\] )?STARTING!"


def recognise(text: str) -> bool:
    """Whether it is this program's output, with or without a result."""
    return bool(_BLOCK.search(text) or _SOURCE.search(text)) or _json(text) is not None


def read(text: str, exit_status: int | None = None) -> list[Reported]:
    """One record per run."""
    if (found := _json(text)) is not None:
        return [_of_json(found, exit_status)]
    runs = list(parts(text, _BEGIN))
    last = len(runs) - 1
    return [_run(run, exit_status if at == last else None) for at, run in enumerate(runs)]


def _run(text: str, exit_status: int | None) -> Reported:
    if not _BLOCK.search(text) or exit_status not in (None, 0):
        return Reported(
            tool="benchmark_model", exit=exit_status, status="failed",
            reason=reason(text, exit_status),
        )  # fmt: skip
    plain = _TAG.sub("", text)
    ignored = re.search(r"Unconsumed cmdline flags: *(.+)$", plain, re.M)
    graph = re.search(r"^Graph: \[(.*)\]", plain, re.M)
    return Reported(
        tool="benchmark_model",
        status="failed" if ignored else "ok",
        reason=f"the tool ignored a flag: {ignored[1].strip()}" if ignored else None,
        exit=exit_status,
        model=graph[1] if graph else None,
        threads=whole(r"^Num threads: \[(\d+)\]", plain),
        init_ms=_ms("Model initialization", plain),
        first_ms=_ms(r"Warmup \(first\)", plain),
        warmup_mean_ms=_ms(r"Warmup \(avg\)", plain),
        warmup_n=whole(r"^Warmup \(avg\):.*\((\d+) runs?\)", plain),
        n=whole(r"^Inference \(avg\):.*\((\d+) runs?\)", plain),
        mean_ms=_ms(r"Inference \(avg\)", plain),
        min_ms=_ms(r"Inference \(min\)", plain),
        max_ms=_ms(r"Inference \(max\)", plain),
        std_ms=_ms(r"Inference \(std\)", plain),
        p5_ms=_ms(r"Inference \(p5\)", plain),
        p50_ms=_ms(r"Inference \((?:median|p50)\)", plain),
        p95_ms=_ms(r"Inference \(p95\)", plain),
        init_memory_mb=number(rf"^Init footprint: +{NUMBER} MB", plain),
        overall_memory_mb=number(rf"^Overall footprint: +{NUMBER} MB", plain),
        peak_memory_mb=number(rf"^Peak memory: +{NUMBER} MB", plain),
        model_size_mb=number(rf"^The input model file size \(MB\): {NUMBER}", plain),
        **_delegation(plain),
    )


def _delegation(plain: str) -> dict[str, Any]:
    known = benchmark_model._delegation(plain)
    return {k: known[k] for k in ("nodes", "nodes_delegated", "partitions") if k in known}


def _ms(name: str, text: str) -> float | None:
    return number(rf"^{name}: +{NUMBER}(?: ms\b| *\(|$|\s)", text)


def _json(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    latency = found.get("latency")
    mean = latency.get("avg_ms") if isinstance(latency, dict) else None
    return found if isinstance(mean, int | float) else None


def _of_json(found: dict[str, Any], exit_status: int | None) -> Reported:
    latency: dict[str, Any] = found["latency"]
    full = found.get("fully_accelerated")
    accelerators = found.get("accelerators") or []

    def ms(name: str) -> float | None:
        value = latency.get(name)
        return float(value) if isinstance(value, int | float) else None

    def count(value: object) -> int | None:
        return value if isinstance(value, int) else None

    return Reported(
        tool="litert-benchmark",
        exit=exit_status,
        model=found.get("model") if isinstance(found.get("model"), str) else None,
        init_ms=ms("init_ms"), first_ms=ms("warmup_first_ms"),
        warmup_mean_ms=ms("warmup_avg_ms"), warmup_n=count(latency.get("num_warmup_runs")),
        n=count(latency.get("num_runs")), mean_ms=ms("avg_ms"), min_ms=ms("min_ms"),
        max_ms=ms("max_ms"), std_ms=ms("std_ms"), p5_ms=ms("p5_ms"), p50_ms=ms("median_ms"),
        p95_ms=ms("p95_ms"), threads=count(found.get("num_threads")),
        delegate="+".join(str(each).lower() for each in accelerators) or None,
        delegated="full" if full is True else "partial" if full is False else None,
        model_size_mb=found.get("model_size_mb"),
    )  # fmt: skip
