"""The process that measures one model once: load, first inference, warm-up, timed runs."""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, perf_counter_ns, process_time_ns, sleep
from typing import TYPE_CHECKING, Any

import msgspec

from edgewise import sandbox
from edgewise.bench import denormals, inputs, memory, readback, sustained, timing
from edgewise.devices.job import Job, Report
from edgewise.errors import RuntimeRefused
from edgewise.records import FedInput
from edgewise.runtimes import registry, runner
from edgewise.runtimes.refusal import refusals
from edgewise.runtimes.values import random_values

if TYPE_CHECKING:
    import numpy as np

    from edgewise.runtimes.registry import Session

    Array = np.ndarray[Any, Any]

FUNCTION = "edgewise.bench.worker:work"
#: Warm-up may take this part of the process's time, and no more than so long.
_WARM_UP_SHARE = 0.25
_WARM_UP_MOST_S = 10.0
#: The option of a runtime that takes the file of the weights.
_WEIGHTS = "weights"
#: Runs under the runtime's profiler, and how long they may take.
_PROFILED_RUNS = 50
_PROFILED_S = 2.0


def work(request: Mapping[str, Any]) -> Any:
    """Do one `Job`; a `Report` as builtins. Runs in a worker process (`edgewise.sandbox`)."""
    job = msgspec.convert(request, Job)
    versions = _import_runtime(job)
    registry.prepare(
        job.target.runtime,
        Path(job.path),
        threads=job.target.threads or 1,
        delegate=job.target.delegate,
        options=_options(job),
    )
    evicted = _prepare_cache(job)
    gc.collect()
    gc.freeze()
    gc.disable()
    with tempfile.TemporaryDirectory(prefix="edgewise-") as folder:
        measured = _measure(job, Path(folder))
    return msgspec.to_builtins(Report(versions=versions, evicted=evicted, **measured))


def _import_runtime(job: Job) -> dict[str, str]:
    """Pin this process, then import what it needs: threads inherit the pinning."""
    if job.target.affinity is not None:
        os.sched_setaffinity(0, job.target.affinity)
    # numpy's threads would only cost memory: nothing here is linear algebra.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import numpy as np
    import numpy.random  # not later: it would count as the model's memory

    runtime = registry.by_name(job.target.runtime)
    info = registry.info(runtime)
    if not info.available:
        reason = info.reason or f"{runtime.NAME} is not available"
        if sandbox.OUT_OF_MEMORY.search(reason):
            raise MemoryError(reason)
        raise RuntimeRefused(reason)
    return {runtime.NAME: info.version or "unknown", "numpy": np.__version__}


def _prepare_cache(job: Job) -> bool:
    """Bring the model's files into the page cache or out of it; whether they are out."""
    if job.evicted:
        kept = [file for file in job.files if not memory.evict_from_cache(Path(file))]
        return not kept
    for file in job.files:
        memory.read_into_cache(Path(file))
    return False


def _measure(job: Job, folder: Path) -> dict[str, Any]:
    """All phases. What was measured, by name of `Report`'s fields."""
    baseline = memory.start_over()
    with refusals():
        session, load_ns, shapes, notes = _load(job, folder)
        first_ns = timing.once(session.invoke)
        repeated = _repeat(job, session)
    peak, anonymous = memory.above(baseline)
    return {
        "load_ns": load_ns,
        "first_ns": first_ns,
        **repeated,
        "coverage": session.coverage(),
        "inputs": [FedInput(p.name, shapes[p.name], p.dtype) for p in session.inputs],
        "used": session.used() | repeated.get("used", {}),
        "peak_memory_bytes": peak,
        "anonymous_memory_bytes": anonymous,
        "notes": [*notes, *session.notes(), *_inspect_results(session, job.target.batch)],
    }


def _load(job: Job, folder: Path) -> tuple[Session, int, dict[str, tuple[int, ...]], list[str]]:
    """From the file to a session with its inputs set; how long until it was ready for inputs, and
    their shapes."""
    target = job.target
    model = runner.load(
        target.runtime,
        Path(job.path),
        threads=target.threads or 1,
        delegate=target.delegate,
        options=_options(job),
        profile=folder if job.purpose == "profile" else None,
    )
    session = model.session
    sandbox.keep(session)
    values: dict[str, Array] = {}
    given: Mapping[str, tuple[int, ...]] = job.shapes
    if job.input_path is not None:
        values = inputs.read_values(Path(job.input_path), session.inputs, target.batch)
        given = {name: tuple(value.shape) for name, value in values.items()}
    shapes = inputs.wanted_shapes(session.inputs, target.batch, given)
    load_ns = model.load_ns + timing.once(lambda: model.resize(shapes))
    session.feed(values or random_values(session.inputs, session.outputs, shapes, job.seed))
    return session, load_ns, shapes, inputs.notes(session.inputs, shapes, given)


def _options(job: Job) -> dict[str, str]:
    """The runtime's options; where it takes the file of the weights, that is one."""
    options = dict(option.split("=", 1) for option in job.target.options)
    takes = {option.name for option in registry.by_name(job.target.runtime).OPTIONS}
    if _WEIGHTS in takes and len(job.files) > 1:
        options.setdefault(_WEIGHTS, job.files[1])
    return options


def _repeat(job: Job, session: Session) -> dict[str, Any]:
    """What follows the first inference, by purpose."""
    match job.purpose:
        case "load":
            return {}
        case "profile":
            return {"layer_times": _profile(session)}
        case "timed":
            return _time(job, session)
        case "energy":
            return _idle_and_work(job, session)
        case "sustained":
            return {"windows": sustained.windows(session.invoke, job.phase_s, job.rate_hz)}


def _time(job: Job, session: Session) -> dict[str, Any]:
    max_ns = int(job.max_time_s * 1e9)
    begin = perf_counter_ns()
    warmup_ns, steady = timing.warm_up(
        session.invoke,
        runs=job.warmup_runs,
        max_ns=int(min(max_ns * _WARM_UP_SHARE, _WARM_UP_MOST_S * 1e9)),
    )
    typical_ns = statistics.median(warmup_ns) if warmup_ns else timing.once(session.invoke)
    wait = None if job.rate_hz is None else timing.Pace(job.rate_hz)
    before, waited, timed_from = readback.threads(), memory.cpu_wait_ns(), perf_counter_ns()
    computed = process_time_ns()
    timed_ns, every = timing.timed_runs(
        session.invoke,
        runs=job.runs,
        min_ns=int(job.min_time_s * 1e9),
        max_ns=max(0, max_ns - (timed_from - begin)),
        typical_ns=typical_ns,
        wait=wait,
    )
    now, waited_now = perf_counter_ns(), memory.cpu_wait_ns()
    computed = process_time_ns() - computed
    share = None
    if waited is not None and waited_now is not None:
        share = (waited_now - waited) / (now - timed_from)
    return {
        "warmup_ns": warmup_ns,
        "steady": steady,
        "timed_ns": timed_ns.tolist(),
        "every": every,
        "spent_s": (now - begin) / 1e9,
        "cpu_wait_share": share,
        "stood_still_ms": readback.stood_still_ms(
            timed_ns,
            away_ns=(now - timed_from) - computed - (waited_now or 0) + (waited or 0),
            paced=wait is not None,
        ),
        "used": readback.used(before),
    }


def _idle_and_work(job: Job, session: Session) -> dict[str, Any]:
    """Idle, infer, idle again, each for as long; when each began, for whoever reads a meter."""
    max_ns = int(_WARM_UP_MOST_S * 1e9)
    warmup_ns, _ = timing.warm_up(session.invoke, runs=job.warmup_runs, max_ns=max_ns)
    typical_ns = statistics.median(warmup_ns) if warmup_ns else timing.once(session.invoke)
    wait = None if job.rate_hz is None else timing.Pace(job.rate_hz)
    moments = [monotonic()]
    sleep(job.phase_s)
    moments.append(monotonic())
    inferences = timing.repeat(
        session.invoke, seconds=job.phase_s, typical_ns=typical_ns, wait=wait
    )
    moments.append(monotonic())
    sleep(job.phase_s)
    moments.append(monotonic())
    return {"moments_s": moments, "inferences": inferences}


def _profile(session: Session) -> Any:
    typical = timing.once(session.invoke)
    runs = max(1, min(_PROFILED_RUNS, int(_PROFILED_S * 1e9 / max(typical, 1))))
    for _ in range(runs):
        session.invoke()
    return session.layer_times(runs)


def _inspect_results(session: Session, batch: int) -> list[str]:
    """What the first outputs tell: that the batch got through, and whether numbers are denormal.

    Raises:
        RuntimeRefused: no output has the batch.
    """
    import numpy as np

    try:
        results = session.results()
    except RuntimeRefused as refusal:
        return [f"the outputs could not be looked at: {refusal.message}"]
    with_batch = (a for a in results.values() if a.ndim and a.shape[0] and a.shape[0] % batch == 0)
    if batch > 1 and next(with_batch, None) is None:
        raise RuntimeRefused(
            f"a batch of {batch} went in, and no output has it: "
            + ", ".join(f"{name!r} is {array.shape}" for name, array in results.items())
        )
    floats = [array for array in results.values() if array.dtype.kind == "f"]
    denormal = sum(int(((a != 0) & (abs(a) < np.finfo(a.dtype).tiny)).sum()) for a in floats)
    if denormal:
        return [f"{denormal} output values are denormal numbers, which some processors are slow on"]
    if denormals.met(session.invoke):
        return ["denormal numbers occur inside the network, which some processors are slow on"]
    return []
