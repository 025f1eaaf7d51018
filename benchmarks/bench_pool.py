"""What a worker process costs over the runtime's bare call, in the same process and over a thread.

    python benchmarks/bench_pool.py [--runs 2000] [--loop asyncio|uvloop]

For a tiny model (digits-s, 1 kB in) and for a tensor of 600 kB: the median and the 99th percentile
of a job's time in µs, and the median extra over the bare call. The ways take turns run by run, so
that a change of the machine's mood meets all of them. Then both workers at once: jobs per second.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgewise.errors import EdgewiseError
from edgewise.family import Preprocess
from edgewise.protocol.messages import Tensor
from edgewise.runtimes import registry
from edgewise.runtimes.registry import Session
from edgewise.server.pool.outcomes import JobResult
from edgewise.server.pool.pool import Pool, Runnable
from smoke import shortened

DIGITS = Path(str(files("edgewise"))) / "demo" / "data" / "digits" / "digits-s.tflite"
SHAPE = (1, 3, 224, 224)


def mean_of_an_image(path: Path) -> None:
    """A model that does next to nothing with 600 kB."""
    graph = helper.make_graph(
        [helper.make_node("GlobalMaxPool", ["x"], ["y"])],
        "pool",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, 1, 1))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))


def runnable(path: Path) -> Runnable:
    runtime = "litert" if path.suffix == ".tflite" else "onnxruntime"
    return Runnable(path.name, str(path), runtime, None, 1, Preprocess(), "tensor")


def session(of: Runnable) -> Session:
    runtime = registry.by_name(of.runtime)
    return runtime.load(Path(of.file), threads=1, delegate=runtime.DEFAULT_DELEGATE)


def bare(one: Session, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    one.feed(values)
    one.invoke()
    return one.results()


def job(pool: Pool, worker: int, key: str, inputs: list[Tensor]) -> asyncio.Future[JobResult]:
    future: asyncio.Future[JobResult] = asyncio.get_running_loop().create_future()

    def done(outcome: JobResult | EdgewiseError) -> None:
        if isinstance(outcome, JobResult):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)

    pool.run(worker, key, [inputs], done)
    return future


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await call()
    return 1e6 * (time.perf_counter() - started)


async def latency(pool: Pool, of: Runnable, runs: int, threads: ThreadPoolExecutor) -> None:
    (port,), _ = await pool.describe(of.key)
    here, there = session(of), session(of)
    values = np.random.default_rng(0).random(port.shape, np.float32)  # type: ignore[arg-type]
    fed = {port.name: values}
    for each in (here, there):
        each.resize({port.name: values.shape})
    tensor = Tensor(port.name, "FP32", values.shape, values)
    loop = asyncio.get_running_loop()
    await pool.preload(0, of.key)

    async def direct() -> None:
        bare(here, fed)

    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "bare call": direct,
        "thread": lambda: loop.run_in_executor(threads, bare, there, fed),
        "pool": lambda: job(pool, 0, of.key, [tensor]),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _, (name, way) in itertools.product(range(runs), ways.items()):
        times[name].append(await timed(way))
    print(f"\n{of.key}, {values.nbytes} bytes in, {runs} runs, µs")
    base = np.median(times["bare call"])
    for name, found in times.items():
        middle, tail = np.percentile(found[runs // 10 :], [50, 99])
        print(f"  {name:10} median {middle:7.1f}   p99 {tail:7.1f}   extra {middle - base:7.1f}")


async def throughput(pool: Pool, of: Runnable, seconds: float) -> None:
    (port,), _ = await pool.describe(of.key)
    values = np.zeros(port.shape, np.float32)  # type: ignore[arg-type]
    tensor = Tensor(port.name, "FP32", values.shape, values)
    end = time.perf_counter() + seconds

    async def busy(worker: int) -> int:
        await pool.preload(worker, of.key)
        count = 0
        while time.perf_counter() < end:
            await job(pool, worker, of.key, [tensor])
            count += 1
        return count

    counts = await asyncio.gather(*(busy(worker) for worker in range(pool.size)))
    print(f"{of.key}: {sum(counts) / seconds:.0f} jobs/s over {pool.size} workers")


async def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as threads:
        large = Path(folder) / "max-of-600kB.onnx"
        mean_of_an_image(large)
        models = [runnable(DIGITS), runnable(large)]
        pool = Pool(models, workers=2, memory_bytes=None, timeout_s=30, on_change=lambda *_: None)
        await pool.start()
        try:
            for each in models:
                await latency(pool, each, runs, threads)
            print()
            for each in models:
                await throughput(pool, each, seconds=2)
        finally:
            await pool.close()


if __name__ == "__main__":
    shortened("--runs", "50")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop")
    given = parser.parse_args()
    if given.loop == "uvloop":
        import uvloop

        uvloop.run(main(given.runs))
    else:
        asyncio.run(main(given.runs))
