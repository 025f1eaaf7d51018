"""Other tools' outputs as measurements: what they reported, and what they did not as a note.

A tool's own summary is one process's, so there is no interval; a quantile is kept as the latency's
only where the number of runs supports it (measuring.md), as it stood there in `reported`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from edgewise.bench import stability
from edgewise.bench.statistics import distribution, median_interval
from edgewise.devices.job import Report
from edgewise.devices.tools import registry
from edgewise.errors import InputError
from edgewise.intervals import FLOORS
from edgewise.records import (
    Context,
    Delegation,
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
        coverage=delegation(reported),
        samples=tuple(
            Sample(process=0, phase="timed", index=at, ms=ms)
            for at, ms in enumerate(reported.samples_ms or ())
        ),
        origin="imported",
        reported=reported,
        notes=tuple(_notes(reported, latency)),
    )


def from_processes(
    model: str,
    sha256: str,
    target: Target,
    context: Context,
    reports: Sequence[Report],
    notes: Sequence[str],
) -> Measurement:
    """Put together what a tool reported in several processes, each a summary without samples.

    The median is that of the processes' medians, and its interval is over them; of the other
    quantiles the middle one stands. Where the tool gives no median there is no interval of it: that
    of the mean is a note.
    """
    said = [each.reported for each in reports if each.reported is not None and not each.moments_s]
    timed = [each for each in said if each.mean_ms is not None]
    medians = [each.p50_ms for each in timed if each.p50_ms is not None]
    means = [each.mean_ms for each in timed if each.mean_ms is not None]
    whole = len(medians) == len(timed)
    low, high = median_interval(medians if whole else means)
    latency = _pooled(timed)
    if whole and medians:
        latency = msgspec.structs.replace(latency, ci95_low=low, ci95_high=high)
    elif low is not None and high is not None:
        notes = [*notes, f"95 % interval of the mean over processes: {low:.4g} to {high:.4g} ms"]
    verdict, why = stability.judge([[each] for each in (medians if whole else means)])
    first = said[0]
    further = [note for report in reports for note in report.notes]
    if len(timed) < 2:
        further.append("no interval of the median: it takes at least two processes")
    if first.delegated == "partial":
        further.append(coverage(first))
    return Measurement(
        model=model,
        sha256=sha256,
        target=target,
        load_ms=_over(each.init_ms for each in said),
        first_ms=_over(each.first_ms for each in said),
        latency_ms=latency,
        throughput_items_per_s=target.batch * 1e3 / latency.p50 if latency.p50 else None,
        stability=verdict,
        stability_reason=f"by the processes' medians alone: {why}",
        processes=len(timed),
        warmup_runs=sum(each.warmup_n or 0 for each in timed),
        context=context,
        layer_times=next((each.layer_times for each in reports if each.layer_times), None),
        coverage=delegation(first),
        reported=first,
        notes=tuple(dict.fromkeys([*notes, *further, MEMORY])),
    )


def _pooled(timed: Sequence[Reported]) -> Distribution:
    """Mean, spread and bounds of all runs of all processes; quantiles in their middle."""
    counts = [each.n or 1 for each in timed]
    total = sum(counts)
    if not total:
        return Distribution(n=0)
    means = [each.mean_ms or 0.0 for each in timed]
    mean = sum(n * m for n, m in zip(counts, means, strict=True)) / total
    spreads = [each.std_ms for each in timed]
    std = None
    if all(each is not None for each in spreads):
        square = sum(
            n * ((s or 0.0) ** 2 + (m - mean) ** 2)
            for n, m, s in zip(counts, means, spreads, strict=True)
        )
        std = (square / total) ** 0.5
    return Distribution(
        n=total, mean=mean, std=std, min=_middle(min, [each.min_ms for each in timed]),
        p50=_middle(statistics.median, [each.p50_ms for each in timed]),
        max=_middle(max, [each.max_ms for each in timed]),
        **{
            name: _middle(statistics.median, [getattr(each, f"{name}_ms") for each in timed])
            for name, floor in FLOORS.items() if min(counts) >= floor
        },
    )  # fmt: skip


def _middle(how: Callable[[list[float]], float], values: Sequence[float | None]) -> float | None:
    """Of all processes, None where one of them does not tell."""
    told = [each for each in values if each is not None]
    return how(told) if told and len(told) == len(values) else None


def _over(values: Iterable[float | None]) -> Distribution | None:
    told = [[each] for each in values if each]
    return distribution(told) if told else None


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


def delegation(reported: Reported) -> Delegation | None:
    """What the delegate took, as far as the tool tells."""
    if reported.delegate is None:
        return None
    taken, nodes = reported.nodes_delegated, reported.nodes
    reason = None
    if nodes is None:
        told = _SHARES.get(reported.delegated or "")
        share = f"tells only that it took {told}" if told else "does not tell"
        reason = f"how many operators: {reported.tool} {share}"
    return Delegation(
        delegate=reported.delegate, fell_back={}, operators=nodes, delegated=taken,
        partitions=reported.partitions or reported.delegate_kernels, reason=reason,
    )  # fmt: skip


_SHARES = {"full": "all of them", "partial": "a part of them", "none": "none of them"}


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
