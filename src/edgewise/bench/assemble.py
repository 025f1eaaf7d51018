"""From the reports of all processes of one model on one target to a `Measurement`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from edgewise.bench import readback, stability, sustained
from edgewise.bench.statistics import distribution
from edgewise.devices.job import Report
from edgewise.records import Context, Distribution, Measurement, Sample, Target

#: A process that waited longer than this part of its time for a CPU was disturbed.
_DISTURBED = 0.02
_NS_PER_MS = 1e6


def measurement(
    model: str,
    sha256: str,
    target: Target,
    context: Context,
    reports: Sequence[Report],
    notes: Sequence[str],
) -> Measurement:
    """Put together what the processes reported; at least one of them timed runs."""
    timed = [report for report in reports if report.timed_ns]
    processes = [[ns / _NS_PER_MS for ns in report.timed_ns] for report in timed]
    latency = distribution(processes)
    waited = _waited(timed)
    verdict, why = stability.judge(processes, waited)
    long = sustained.summary(next((r.windows for r in reports if r.windows), ()))
    said = [
        *notes,
        *_notes(timed, latency, waited),
        *readback.notes(target, context, timed),
        *([] if long is None else sustained.notes(long)),
        *_their_notes(reports),
    ]
    warm = [report for report in reports if not report.evicted]
    evicted = [report for report in reports if report.evicted]
    return Measurement(
        model=model,
        sha256=sha256,
        target=target,
        load_ms=_over_processes(report.load_ns for report in warm),
        load_evicted_ms=_over_processes(report.load_ns for report in evicted),
        first_ms=_over_processes(report.first_ns for report in warm),
        first_evicted_ms=_over_processes(report.first_ns for report in evicted),
        latency_ms=latency,
        throughput_items_per_s=target.batch / (latency.p50 / 1e3) if latency.p50 else None,
        peak_memory_bytes=_largest(report.peak_memory_bytes for report in timed),
        anonymous_memory_bytes=_largest(report.anonymous_memory_bytes for report in timed),
        stability=verdict,
        stability_reason=why,
        processes=len(timed),
        warmup_runs=sum(len(report.warmup_ns) for report in timed),
        inputs=next((report.inputs for report in reports if report.inputs), ()),
        context=context,
        layer_times=next((r.layer_times for r in reports if r.layer_times is not None), None),
        coverage=next((r.coverage for r in reversed(reports) if r.coverage is not None), None),
        sustained=long,
        samples=tuple(_samples(reports)),
        notes=tuple(dict.fromkeys(said)),
    )


def failure(
    model: str, sha256: str | None, target: Target, reason: str, context: Context
) -> Measurement:
    """A model that could not be measured on a target: no number at all, and the reason."""
    return Measurement(
        model=model, sha256=sha256, target=target, status="failed", reason=reason, context=context
    )


def _over_processes(times_ns: Iterable[int]) -> Distribution | None:
    """One observation of each process."""
    found = [[ns / _NS_PER_MS] for ns in times_ns]
    return distribution(found) if found else None


def _largest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _samples(reports: Sequence[Report]) -> Iterator[Sample]:
    """Every timed event, warm-ups marked as such. Processes are numbered in the order they ran."""
    for number, report in enumerate(reports):
        for phase, ns in (("load", report.load_ns), ("first", report.first_ns)):
            name = f"{phase}_evicted" if report.evicted else phase
            yield Sample(process=number, phase=name, index=0, ms=ns / _NS_PER_MS)  # type: ignore[arg-type]
        for index, ns in enumerate(report.warmup_ns):
            yield Sample(process=number, phase="warmup", index=index, ms=ns / _NS_PER_MS)
        for index, ns in enumerate(report.timed_ns):
            yield Sample(
                process=number, phase="timed", index=index * report.every, ms=ns / _NS_PER_MS
            )


def _waited(timed: Sequence[Report]) -> float | None:
    """The part of the time that the processes waited for a CPU."""
    waits = [report.cpu_wait_share for report in timed if report.cpu_wait_share is not None]
    return statistics.fmean(waits) if waits else None


def _notes(timed: Sequence[Report], latency: Distribution, waited: float | None) -> Iterator[str]:
    every = max(report.every for report in timed)
    if every > 1:
        yield f"so short that one call in {every} was timed, the others ran between them"
    if len(timed) < 2:
        yield "no interval of the median: it takes at least two processes"
    missing = [name for name in ("p90", "p95", "p99") if getattr(latency, name) is None]
    if missing:
        yield f"too few samples ({latency.n}) for {', '.join(missing)}"
    if not all(report.steady for report in timed):
        yield "still getting faster when warm-up ended"
    if waited is not None and _DISTURBED < waited <= stability.WAITING:
        yield f"waited {waited:.0%} of the time for a CPU: others use this machine"
    for number, report in enumerate(timed):
        if report.stood_still_ms:
            yield (
                f"process {number + 1} of {len(timed)} stood still for "
                f"{report.stood_still_ms / 1e3:.2g} s: it was stopped or frozen meanwhile"
            )
    yield from _coverage_notes(timed)
    if all(report.peak_memory_bytes is None for report in timed):
        yield "no memory: this system does not tell a process's high-water mark"


def _coverage_notes(timed: Sequence[Report]) -> Iterator[str]:
    """What a delegate left to the runtime's own kernels."""
    found = next((report.coverage for report in timed if report.coverage is not None), None)
    if found is None or found.operators is None or found.delegated is None or not found.fell_back:
        return
    left = ", ".join(f"{count} {op}" for op, count in list(found.fell_back.items())[:4])
    more = "" if len(found.fell_back) <= 4 else f" and {len(found.fell_back) - 4} kinds more"
    if not found.delegated:
        yield f"{found.delegate} took none of the {found.operators} operators: {left}{more}"
        return
    many = found.partitions
    pieces = "" if many is None else f" in {many} piece{'s' if many != 1 else ''}"
    yield (
        f"{found.delegate} took {found.delegated} of {found.operators} operators{pieces}; "
        f"not {left}{more}"
    )


def _their_notes(reports: Sequence[Report]) -> Iterator[str]:
    for report in reports:
        yield from report.notes
