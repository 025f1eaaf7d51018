"""TensorFlow Lite's `benchmark_model`, 2018 to now: its text, also by way of logcat.

Times are in whole µs; a mean has six digits, so that from 1 s on it reads 1.23457e+06. The layout
changed three times: no "First inference" (2018), `INFO: ` in front (2024), percentiles (2025). An
unknown flag is only a warning, and then what was measured is not what was asked for.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from edgewise.devices.tools import profile
from edgewise.devices.tools.ending import reason
from edgewise.devices.tools.text import NUMBER, number, parts, whole
from edgewise.records import Reported

NAME = "benchmark_model"
_LEVEL = r"^(?:[A-Z]+: )?"
_BEGIN = r"^(?:INFO: )?STARTING!"
_OF_THE_TOOL = re.compile(
    _BEGIN + r"|^(?:[A-Z]+: )?(?:Average i|I)nference timings in us:"
    r"|^(?:.*/)?(?:sh|mksh)\b.*benchmark_model|^CANNOT LINK EXECUTABLE.*benchmark_model",
    re.M,
)
_STATS = re.compile(_LEVEL + r"count=(\d+)\b(.*)$", re.M)
_TOTALS = re.compile(_LEVEL + r"(?:Average i|I)nference timings in us: (.+)$", re.M)
_IGNORED = re.compile(r"Unconsumed cmdline flags: *(.+)$", re.M)
_APPLIED = re.compile(
    r"Explicitly applied (\S+) delegate, and the model graph will be (completely|partially)"
    r" executed by the delegate(?: w/ (\d+) delegate kernels)?"
)
_NOT_USED = re.compile(r"Though (\S+) delegate is explicitly applied, the model graph will not be")
_REPLACED = re.compile(
    r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\) node, yielding (\d+) partition"
)
_COUNTED = re.compile(r"(\d+) nodes delegated out of (\d+) nodes with (\d+) partitions")
_CREATED = re.compile(r"Created TensorFlow Lite (\w+) delegate for")
#: Delegates by the class that the interpreter names.
_CLASSES = {
    "tflitexnnpackdelegate": "xnnpack", "tflitegpudelegatev2": "gpu", "tflitegpudelegate": "gpu",
    "tflitennapidelegate": "nnapi", "tflitehexagondelegate": "hexagon",
}  # fmt: skip
_FULL: Literal["full"] = "full"


def recognise(text: str) -> bool:
    """Whether it is this tool's output, or the shell's word that it did not start."""
    return _OF_THE_TOOL.search(text) is not None


def read(text: str, exit_status: int | None = None) -> list[Reported]:
    """One record per run in the text."""
    runs = list(parts(text, _BEGIN))
    last = len(runs) - 1
    return [_run(run, exit_status if at == last else None) for at, run in enumerate(runs)]


def _run(text: str, exit_status: int | None) -> Reported:
    known: dict[str, Any] = {"tool": NAME, "exit": exit_status} | _asked(text) | _delegation(text)
    totals = _TOTALS.search(text)
    known |= _statistics(text) | _memory(text)
    if totals is not None:
        known |= {k: v for k, v in _totals(totals[1]).items() if known.get(k) is None}
    known["layers"] = profile.table(text)
    if totals is None or exit_status not in (None, 0):
        numbers = ("n", "mean_ms", "min_ms", "max_ms", "std_ms", "p5_ms", "p50_ms", "p95_ms")
        failed = dict.fromkeys(numbers) if totals is None else {}
        known |= {"status": "failed", "reason": reason(text, exit_status)} | failed
        if totals is None:
            known = {k: v for k, v in known.items() if k in _OF_A_FAILURE}
    elif ignored := _IGNORED.search(text):
        flags = " ".join(re.split(r"[\s,]+", ignored[1].strip()))
        known |= {"status": "failed", "reason": f"the tool ignored a flag: {flags}"}
    return Reported(**known)


#: Of a run without a result nothing else is a finding: half of its figures would mislead.
_OF_A_FAILURE = ("tool", "exit", "status", "reason", "model")


def _asked(text: str) -> dict[str, Any]:
    graph = re.search(_LEVEL + r"Graph: \[(.*)\]", text, re.M)
    threads = whole(_LEVEL + r"Num threads: \[(\d+)\]", text)
    if threads is None:
        threads = whole(_LEVEL + r"#threads used for CPU inference: \[(\d+)\]", text)
    return {
        "model": graph[1] if graph else None,
        "threads": threads,
        "model_size_mb": number(_LEVEL + r"The input model file size \(MB\): " + NUMBER, text),
    }


def _delegation(text: str) -> dict[str, Any]:
    """What the delegate took of the graph. The default XNNPACK says only that it was made."""
    known: dict[str, Any] = {}
    if created := _CREATED.search(text):
        known["delegate"] = created[1].lower()
    if replaced := _REPLACED.search(text):
        taken, nodes = int(replaced[1]), int(replaced[2])
        known |= {"nodes_delegated": taken, "nodes": nodes, "partitions": int(replaced[4])}
        known["delegated"] = _FULL if taken == nodes else "partial" if taken else "none"
        known.setdefault("delegate", _CLASSES.get(replaced[3].lower()))
    elif counted := _COUNTED.search(text):
        known |= {"nodes_delegated": int(counted[1]), "nodes": int(counted[2])}
        known["partitions"] = int(counted[3])
    if applied := _APPLIED.search(text):
        known["delegate"] = applied[1].lower()
        known["delegated"] = _FULL if applied[2] == "completely" else "partial"
        known["delegate_kernels"] = int(applied[3]) if applied[3] else None
    elif unused := _NOT_USED.search(text):
        known |= {"delegate": unused[1].lower(), "delegated": "none"}
    return known


def _statistics(text: str) -> dict[str, Any]:
    """The stat lines before the last line: of the warm-up, where there was one, and of the runs."""
    totals = _TOTALS.search(text)
    found = list(_STATS.finditer(text, 0, totals.start() if totals else len(text)))
    if not found:
        return {}
    known: dict[str, Any] = {}
    if len(found) > 1:
        warm = _stat(int(found[0][1]), found[0][2])
        known = {"warmup_n": warm["n"], "warmup_mean_ms": warm["mean_ms"]}
        known["first_ms"] = warm["first_ms"]
    runs = _stat(int(found[-1][1]), found[-1][2])
    return known | {k: v for k, v in runs.items() if k != "first_ms"}


def _stat(count: int, rest: str) -> dict[str, Any]:
    """A stat line's values, in ms. `curr` alone: all runs took the same time."""
    said = {name: float(value) / 1e3 for name, value in re.findall(rf"\b(\w+)={NUMBER}", rest)}
    same = said.get("curr") if "min" not in said else None
    return {
        "n": count,
        "first_ms": said.get("first", same),
        "mean_ms": said.get("avg", same),
        "min_ms": said.get("min", same),
        "max_ms": said.get("max", same),
        "std_ms": said.get("std", None if same is None else 0.0),
        "p5_ms": said.get("p5"),
        "p50_ms": said.get("median"),
        "p95_ms": said.get("p95"),
    }


def _totals(line: str) -> dict[str, Any]:
    """The last line: of 2018 (`no stats` are the runs), and since."""
    said = {
        name.strip(): float(value) / 1e3 for name, value in re.findall(rf"([^:,]+): {NUMBER}", line)
    }
    return {
        "init_ms": said.get("Init"),
        "first_ms": said.get("First inference"),
        "warmup_mean_ms": said.get("Warmup (avg)", said.get("Warmup")),
        "mean_ms": said.get("Inference (avg)", said.get("no stats", said.get("Inference"))),
    }


def _memory(text: str) -> dict[str, Any]:
    delta = r"Memory footprint delta from the start of the tool \(MB\): "
    return {
        "init_memory_mb": number(rf"{delta}init={NUMBER}", text),
        "overall_memory_mb": number(rf"{delta}init=\S+ overall={NUMBER}", text),
        "peak_memory_mb": number(
            rf"Overall peak memory footprint \(MB\) via periodic monitoring: {NUMBER}", text
        ),
    }
