"""What the harness adds to a call of the runtime, against a bare loop in the same process.

The bare loop is `for _ in range(n): invoke()` between two readings of the clock: nothing of ours is
in it. The harness is what `edgewise bench` runs (`timing.timed_runs`); its mean sample is compared
with the bare loop's mean per call. Both alternate in short blocks, so that a change of the machine
hits both; the median over the blocks is reported, and of the overhead its standard error.

The goal: below 1 % of the call, or below 1 µs.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from time import perf_counter_ns

from edgewise.bench import inputs, timing
from edgewise.runtimes import registry
from edgewise.runtimes.values import random_values
from smoke import SMOKE, fewer, shortened

DIGITS = Path(str(files("edgewise"))) / "demo" / "data" / "digits"
BLOCKS = fewer(300, 10)
BLOCK_NS = 5_000_000


def session_call(path: Path) -> Callable[[], object]:
    """The call that the harness times, ready to be made."""
    runtime = registry.by_name("litert" if path.suffix == ".tflite" else "onnxruntime")
    session = runtime.load(path, threads=1, delegate=runtime.DEFAULT_DELEGATE)
    shapes = inputs.wanted_shapes(session.inputs, 1, {})
    session.resize(shapes)
    session.feed(random_values(session.inputs, session.outputs, shapes, seed=0))
    return session.invoke


def bare(invoke: Callable[[], object], calls: int) -> float:
    """Mean time of a call in a bare loop, in ns."""
    start = perf_counter_ns()
    for _ in range(calls):
        invoke()
    return (perf_counter_ns() - start) / calls


def harness(invoke: Callable[[], object], calls: int) -> float:
    """Mean of the samples that the harness takes, in ns."""
    times, _ = timing.timed_runs(invoke, runs=calls, min_ns=0, max_ns=10**12, typical_ns=1e12)
    return statistics.fmean(times)


def overhead(path: Path) -> tuple[float, float, float]:
    """Bare call, what the harness adds, and the standard error of that, all in ns."""
    invoke = session_call(path)
    first = [timing.once(invoke) for _ in range(20)]
    calls = max(5, int(BLOCK_NS / statistics.median(first)))
    calls = min(calls, timing.CAPACITY)
    bares, added = [], []
    for block in range(BLOCKS):
        if block % 2:
            with_ours, without = harness(invoke, calls), bare(invoke, calls)
        else:
            without, with_ours = bare(invoke, calls), harness(invoke, calls)
        bares.append(without)
        added.append(with_ours - without)
    low, _, high = statistics.quantiles(added, n=4)
    error = 1.253 * (high - low) / 1.349 / BLOCKS**0.5  # of a median, from the middle half
    return statistics.median(bares), statistics.median(added), error


def main() -> int:
    """Print a line per model; exit status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    shortened()
    parser.add_argument("models", nargs="*", type=Path)
    models = parser.parse_args().models or [
        DIGITS / name for name in ("digits-xxs.tflite", "digits-m.onnx", "digits-xl.tflite")
    ]
    gc.disable()
    missed = False
    print(f"{'model':<28}{'bare call':>14}{'harness adds':>14}{'± error':>10}{'share':>9}")
    for path in models:
        call, added, error = overhead(path)
        good = added < 1_000 or added < 0.01 * call
        missed |= not good
        print(
            f"{path.name:<28}{call / 1e3:>11.3f} µs{added / 1e3:>11.3f} µs{error / 1e3:>7.3f} µs"
            f"{added / call:>9.2%}{'' if good else '  missed'}"
        )
    return 1 if missed and not SMOKE else 0


if __name__ == "__main__":
    sys.exit(main())
