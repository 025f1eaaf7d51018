"""MLPerf LoadGen's Server scenario against the running service.

    python benchmarks/bench_loadgen.py [--qps 40,60,75] [--latency-ms 300] [--computed]
                                       [--url URL --model M --input F]

LoadGen decides when queries come (Poisson) and judges: valid if the 99th percentile of all
latencies stays below the bound. Needs `mlcommons-loadgen` (requirements-peers.txt), here or in
`.venv-peers`. Without --url a family is served for the runs: of variants that wait for a drawn time
(`paced_family.py`, about 90 per second at most), or with --computed of ones that compute
(`slow_family.py`): anew for each rate, as each is a test of its own. Of several cores LoadGen has
the last one. A few seconds at the rate come before, not judged: MLPerf lets a system warm up.
Queries state the bound as their deadline. A refusal is an answer without a result for LoadGen, so a
run counts here only if refusals and late answers together are at most 1 % as well.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import tempfile
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import paced_family
import slow_family
from edgewise.load import links, placing, run
from edgewise.load.device import SimulatedDevice
from edgewise.load.settings import LoadSettings
from edgewise.protocol.http.attempt import Attempt, now_ms
from served import apart, serving
from smoke import shortened

#: Of all queries, those without an answer in time.
MOST_MISSED = 0.01


class Caller:
    """The system under test: an event loop in a thread that sends what LoadGen issues."""

    def __init__(self, prepared: run.Prepared, loadgen: Any, bound_ms: float) -> None:
        self._loadgen, self._bound_ms = loadgen, bound_ms
        self._bodies = prepared.bodies
        self.outcomes: Counter[str] = Counter()
        self.accuracy: list[float] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        address = links.Address(prepared.target.address, prepared.target.port, None)
        self._device = SimulatedDevice(run.job_of(prepared), address, self._finished)

    def __enter__(self) -> Caller:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._device.prepare(16), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._device.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def verdict(self, summary: dict[str, str]) -> str:
        """LoadGen's word, and ours beside it."""
        said = next((value for name, value in summary.items() if name.startswith("Result is")), "?")
        p99_ms = float(summary.get("99.00 percentile latency (ns)", "nan")) / 1e6
        asked = sum(self.outcomes.values())
        missed = 1 - self.outcomes["in time"] / max(asked, 1)
        counts = said == "VALID" and missed <= MOST_MISSED
        mean = sum(self.accuracy) / max(len(self.accuracy), 1)
        return (
            f"{said} (LoadGen), p99 {p99_ms:.0f} ms, {dict(self.outcomes)}: {100 * missed:.2f} % "
            f"missed, {'valid' if counts else 'NOT VALID'}, mean accuracy {mean:.1f} %"
        )

    def issue(self, samples: Any) -> None:
        """Called by LoadGen's thread, which must not be kept."""
        at_ms = now_ms()
        queries = [(sample.id, sample.index) for sample in samples]
        self._loop.call_soon_threadsafe(self._send, queries, at_ms)

    def _send(self, queries: list[tuple[int, int]], at_ms: float) -> None:
        for query, index in queries:
            size = self._bodies[index].size_bytes
            self._device.send(Attempt(query, 0, index, size, at_ms, now_ms()))

    def _finished(self, exchange: Attempt) -> None:
        refused = exchange.error is None and exchange.status != 200
        late = not refused and exchange.last_ms - exchange.due_ms > self._bound_ms
        kind = exchange.error or ("refused" if refused else "late" if late else "in time")
        self.outcomes[kind] += 1
        if exchange.said is not None:
            self.accuracy.append(exchange.said.accuracy or 0.0)
        done = self._loadgen.QuerySampleResponse(exchange.number, 0, 0)
        self._loadgen.QuerySamplesComplete([done])


def loadgen() -> Any:
    """LoadGen's module, None where it is not installed."""
    with contextlib.suppress(ImportError):
        import mlperf_loadgen

        return mlperf_loadgen
    peers = Path(__file__).parents[1] / ".venv-peers"
    for file in peers.glob("lib/python3*/site-packages/mlperf_loadgen*.so"):
        spec = importlib.util.spec_from_file_location("mlperf_loadgen", file)
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return None


def main() -> None:
    shortened("--qps", "20", "--seconds", "1", "--warmup", "0.5")
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--qps", default="40,60,75")
    arguments.add_argument("--latency-ms", type=float, default=300.0)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--warmup", type=float, default=5.0)
    arguments.add_argument("--workers", type=int, default=1)
    arguments.add_argument("--policy", default="deadline")
    arguments.add_argument("--computed", action="store_true")
    arguments.add_argument("--url")
    arguments.add_argument("--model")
    arguments.add_argument("--input", type=Path)
    given = arguments.parse_args()
    judging = loadgen()
    if judging is None:
        print("skipped: mlcommons-loadgen is not installed (requirements-peers.txt)")
        return
    family = slow_family if given.computed else paced_family
    rates = [float(word) for word in given.qps.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = family.build(folder)
        environment = {} if given.computed else paced_family.environment(path)
        for_service, for_loadgen = ((), ()) if given.url else apart()
        settings = LoadSettings(
            url="", model=given.model or family.NAME,
            inputs=(given.input or family.inputs(folder),), sla_ms=given.latency_ms,
            seconds=given.warmup,
        )  # fmt: skip
        for rate in rates:
            with contextlib.ExitStack() as stack:
                url = given.url or stack.enter_context(
                    serving(
                        path, workers=given.workers, policy=given.policy, environment=environment,
                        cores=for_service,
                    )
                )  # fmt: skip
                stack.enter_context(placing.kept_on(for_loadgen))
                asked = replace(settings, url=url, arrivals=f"poisson:{rate:g}")
                run.drive(asked)
                prepared = run.prepare(asked)
                with Caller(prepared, judging, given.latency_ms) as caller:
                    verdict = judge(judging, caller, given, rate, len(prepared.bodies), folder)
            print(f"{rate:g} per s, bound {given.latency_ms:g} ms: {caller.verdict(verdict)}",
                  flush=True)  # fmt: skip


def judge(
    loadgen: Any, caller: Caller, given: argparse.Namespace, qps: float, samples: int, folder: Path
) -> dict[str, str]:
    """One run in LoadGen's Server scenario: LoadGen's own summary, by the names of its lines."""
    settings = loadgen.TestSettings()
    settings.scenario = loadgen.TestScenario.Server
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.server_target_qps = qps
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
    lines = (folder / "mlperf_log_summary.txt").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip(" *"): value.strip() for name, value in pairs}


if __name__ == "__main__":
    main()
