"""MLPerf LoadGen's Server scenario against the running service.

    python benchmarks/bench_loadgen.py [--qps 50] [--latency-ms 100] [--url URL --model M --input F]

LoadGen decides when queries come (Poisson) and judges: valid if the 99th percentile of all
latencies stays below the bound. Needs `mlcommons-loadgen` (see requirements-peers.txt). Without
--url a family of slow variants is served for the run. Queries state the bound as their deadline; a
refusal is an answer without a result for LoadGen, so refusals are counted beside its summary: read
them together.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from edgewise.serving.load import links, run
from edgewise.serving.load.device import Device
from edgewise.serving.load.exchange import Exchange, now_ms
from edgewise.serving.load.settings import LoadSettings
from served import serving
from slow_family import NAME, build, inputs


class Caller:
    """The system under test: an event loop in a thread that sends what LoadGen issues."""

    def __init__(self, prepared: run.Prepared, loadgen: Any) -> None:
        self._loadgen = loadgen
        self._bodies = prepared.bodies
        self.outcomes: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        address = links.Address(prepared.target.address, prepared.target.port, None)
        self._device = Device(run.job_of(prepared), address, self._finished)

    def __enter__(self) -> Caller:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._device.prepare(16), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._device.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def issue(self, samples: Any) -> None:
        """Called by LoadGen's thread, which must not be kept."""
        at_ms = now_ms()
        queries = [(sample.id, sample.index) for sample in samples]
        self._loop.call_soon_threadsafe(self._send, queries, at_ms)

    def _send(self, queries: list[tuple[int, int]], at_ms: float) -> None:
        for query, index in queries:
            size = self._bodies[index].size_bytes
            self._device.send(Exchange(query, 0, index, size, at_ms, now_ms()))

    def _finished(self, exchange: Exchange) -> None:
        refused = exchange.error is None and exchange.status != 200
        self.outcomes[exchange.error or ("refused" if refused else "answered")] += 1
        done = self._loadgen.QuerySampleResponse(exchange.number, 0, 0)
        self._loadgen.QuerySamplesComplete([done])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--qps", type=float, default=50.0)
    arguments.add_argument("--latency-ms", type=float, default=100.0)
    arguments.add_argument("--seconds", type=float, default=20.0)
    arguments.add_argument("--workers", type=int, default=1)
    arguments.add_argument("--policy", default="deadline")
    arguments.add_argument("--url")
    arguments.add_argument("--model", default=NAME)
    arguments.add_argument("--input", type=Path)
    given = arguments.parse_args()
    try:
        import mlperf_loadgen
    except ImportError:
        print("skipped: mlcommons-loadgen is not installed (requirements-peers.txt)")
        return
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        family = build(folder)
        url = given.url or stack.enter_context(
            serving(family, workers=given.workers, policy=given.policy)
        )
        prepared = run.prepare(
            LoadSettings(
                url=url, model=given.model, inputs=(given.input or inputs(folder),), requests=1,
                sla_ms=given.latency_ms,
            )
        )  # fmt: skip
        caller = stack.enter_context(Caller(prepared, mlperf_loadgen))
        judge(mlperf_loadgen, caller, given, len(prepared.bodies), folder)
        print(f"\nQueries by outcome: {dict(caller.outcomes)}")


def judge(
    loadgen: Any, caller: Caller, given: argparse.Namespace, samples: int, folder: Path
) -> None:
    """One run in LoadGen's Server scenario; prints LoadGen's own summary."""
    settings = loadgen.TestSettings()
    settings.scenario = loadgen.TestScenario.Server
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.server_target_qps = given.qps
    settings.server_target_latency_ns = int(given.latency_ms * 1e6)
    settings.server_target_latency_percentile = 0.99
    settings.min_duration_ms = int(given.seconds * 1000)
    settings.min_query_count = 662  # LoadGen's floor for a 99th percentile
    outputs = loadgen.LogOutputSettings()
    outputs.outdir = str(folder)
    outputs.copy_summary_to_stdout = False
    logs = loadgen.LogSettings()
    logs.log_output = outputs
    logs.enable_trace = False

    def ignore(indices: Any) -> None:
        """Inputs are in memory already."""

    system = loadgen.ConstructSUT(caller.issue, lambda: None)
    library = loadgen.ConstructQSL(samples, samples, ignore, ignore)
    try:
        loadgen.StartTestWithLogSettings(system, library, settings, logs)
    finally:
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)
    print((folder / "mlperf_log_summary.txt").read_text())


if __name__ == "__main__":
    main()
