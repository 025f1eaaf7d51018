"""Other tools' outputs as measurements: what they reported, and what they did not as a note.

A tool's own summary is one process's, so there is no interval; a quantile is kept as the latency's
only where the number of runs supports it (measuring.md), as it stood there in `reported`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edgewise.bench.statistics import FLOORS, distribution
from edgewise.devices.tools import registry
from edgewise.errors import InputError
from edgewise.records import (
    Distribution,
    LayerTime,
    Measurement,
    Reported,
    ReportedLayer,
    Sample,
    Target,
)

#: Stands for the device, runtime or delegate that the tool did not name.
UNKNOWN = "unknown"
_RUNTIMES = {
    "benchmark_model": "litert", "litert-benchmark": "litert", "benchncnn": "ncnn",
    "onnxruntime_perf_test": "onnxruntime", "mnn-benchmark": "mnn", "MNNV2Basic": "mnn",
    "executor_runner": "executorch", "executorch-llm": "executorch", "llama-bench": "llama.cpp",
}  # fmt: skip
_WANTED = ("init_ms", "first_ms", "n", "mean_ms", "min_ms", "max_ms", "std_ms", "p50_ms")


def read_file(
    path: Path, *, device: str = UNKNOWN, model: str | None = None, exit_status: int | None = None
) -> list[Measurement]:
    """All runs in a file of a benchmark tool.

    `device` and `model` name what the tool does not; `exit_status` is that of the last run.

    Raises:
        InputError: it cannot be read, or is of no tool that is known.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    try:
        runs = registry.read(data, exit_status)
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error
    return [measurement(each, device, model or each.model or path.name) for each in runs]


def measurement(reported: Reported, device: str, model: str) -> Measurement:
    """One run as a measurement of origin `imported`."""
    target = Target(
        device=device,
        runtime=_RUNTIMES.get(reported.tool, reported.tool),
        delegate=reported.delegate or UNKNOWN,
        threads=reported.threads,
    )
    if reported.status == "failed":
        return Measurement(
            model=model, sha256=None, target=target, status="failed", reason=reported.reason,
            origin="imported", reported=reported,
        )  # fmt: skip
    latency = latency_of(reported)
    return Measurement(
        model=model,
        sha256=None,
        target=target,
        reason=reported.reason,
        load_ms=_once(reported.init_ms),
        first_ms=_once(reported.first_ms),
        latency_ms=latency,
        throughput_items_per_s=1e3 / latency.p50 if latency and latency.p50 else None,
        stability=None,
        stability_reason="one process of another tool: nothing to judge by",
        processes=1,
        warmup_runs=reported.warmup_n,
        layer_times=layer_times(reported.layers),
        samples=tuple(
            Sample(process=0, phase="timed", index=at, ms=ms)
            for at, ms in enumerate(reported.samples_ms or ())
        ),
        origin="imported",
        reported=reported,
        notes=tuple(_notes(reported, latency)),
    )


def latency_of(reported: Reported) -> Distribution | None:
    """The runs' distribution: of the samples where the tool gives them, else what it computed."""
    if reported.samples_ms:
        return distribution([list(reported.samples_ms)])
    if reported.mean_ms is None and reported.p50_ms is None:
        return None
    count = reported.n or 0
    supported = {
        name: value
        for name, value in (
            ("p90", reported.p90_ms), ("p95", reported.p95_ms), ("p99", reported.p99_ms)
        )
        if count >= FLOORS[name]
    }  # fmt: skip
    return Distribution(
        n=count, mean=reported.mean_ms, std=reported.std_ms, min=reported.min_ms,
        p50=reported.p50_ms, max=reported.max_ms, **supported,
    )  # fmt: skip


def layer_times(layers: Sequence[ReportedLayer] | None) -> tuple[LayerTime, ...] | None:
    """Operators with their share of the sum."""
    if not layers:
        return None
    total = sum(each.mean_ms for each in layers)
    return tuple(
        LayerTime(
            name=each.name, op=each.op, mean_ms=each.mean_ms,
            share=each.mean_ms / total if total else 0.0,
        )
        for each in layers
    )  # fmt: skip


def _once(ms: float | None) -> Distribution | None:
    return None if ms is None else Distribution(n=1, mean=ms, min=ms, p50=ms, max=ms)


def _notes(reported: Reported, latency: Distribution | None) -> Iterator[str]:
    missing = [name for name in _WANTED if getattr(reported, name) is None]
    if missing:
        yield f"not reported by {reported.tool}: {', '.join(missing)}"
    if reported.threads is None:
        yield f"threads: not reported by {reported.tool}"
    if reported.delegate is None:
        yield f"delegate: not reported by {reported.tool}"
    elif reported.delegated is None:
        yield f"how much the delegate took: not reported by {reported.tool}"
    if reported.delegated in ("partial", "none"):
        yield coverage(reported)
    if not reported.samples_ms:
        yield "no raw samples: no interval of the median, and nothing to judge stability by"
    few = [
        name for name in FLOORS
        if getattr(reported, f"{name}_ms") is not None and getattr(latency, name, None) is None
    ]  # fmt: skip
    if few and latency is not None:
        yield f"{', '.join(few)}: as reported only, {latency.n} samples are too few"
    if reported.overall_memory_mb is not None or reported.peak_memory_mb is not None:
        yield MEMORY
    yield f"batch and context: not reported by {reported.tool}"


MEMORY = (
    "memory: the tool's figures are differences of its process's high-water mark, not what the "
    "model takes; they are in 'reported' only"
)


def coverage(reported: Reported) -> str:
    """How much of the graph the delegate took, in words."""
    if reported.delegated == "none":
        return f"{reported.delegate} took none of the operators"
    said = f"{reported.delegate} took a part of the graph"
    if reported.nodes is not None and reported.nodes_delegated is not None:
        said += f": {reported.nodes_delegated} of {reported.nodes} operators"
    if (pieces := reported.partitions or reported.delegate_kernels) is not None:
        said += f", in {pieces} pieces"
    return said
