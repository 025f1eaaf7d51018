"""MNN's `benchmark.out` (one line per model) and `MNNV2Basic.out` (times per operator)."""

from __future__ import annotations

import re

from edgewise.devices.tools.text import NUMBER, parts, whole
from edgewise.records import Reported, ReportedLayer

NAME = "MNN benchmark"
_ROW = re.compile(
    rf"^\s*\[ ?- ?\]\s+(\S.*?)\s+max =\s*{NUMBER} ?ms\s+min =\s*{NUMBER} ?ms"
    rf"\s+avg =\s*{NUMBER} ?ms",
    re.M,
)
_FORWARD = re.compile(r"Forward type: *\**(\w+)\** *thread *= *\**(\d+)")
_LOOP = re.compile(r"loop *= *(\d+), *warmup *= *(\d+)")
_BASIC = re.compile(
    rf"^Avg= *{NUMBER} ms, OpSum *= *{NUMBER} ms,? *min= *{NUMBER} ms, *max= *{NUMBER} ms", re.M
)
_OP = re.compile(rf"^\s*(\S.*?)\s*\[(\w+)\] run \d+ average cost {NUMBER} ms", re.M)
#: `MNNForwardType`.
_BACKENDS = {
    0: "cpu", 1: "metal", 2: "cuda", 3: "opencl", 4: "auto", 5: "nn", 6: "opengl", 7: "vulkan",
    8: "npu", 11: "cpu-extension",
}  # fmt: skip


def recognise(text: str) -> bool:
    """Whether it is the output of one of the two."""
    return bool(
        _BASIC.search(text) or re.search(r"^\s*MNN benchmark", text, re.M) or _ROW.search(text)
    )


def read(text: str, exit_status: int | None = None) -> list[Reported]:
    """One record per model."""
    if _BASIC.search(text):
        return [_basic(each) for each in parts(text, r"^Open Model ") if _BASIC.search(each)]
    forward, loop = _FORWARD.search(text), _LOOP.search(text)
    return [
        Reported(
            tool="mnn-benchmark",
            model=row[1],
            delegate=forward[1].lower() if forward else None,
            threads=int(forward[2]) if forward else None,
            n=int(loop[1]) if loop else None,
            warmup_n=int(loop[2]) if loop else None,
            max_ms=float(row[2]),
            min_ms=float(row[3]),
            mean_ms=float(row[4]),
        )
        for row in _ROW.finditer(text)
    ]


def _basic(text: str) -> Reported:
    found = _BASIC.search(text)
    assert found is not None
    model = re.search(r"^Open Model (\S+)", text, re.M)
    backend = whole(r"backendType is (\d+)", text)
    layers = tuple(
        ReportedLayer(name=name, op=op, mean_ms=float(ms)) for name, op, ms in _OP.findall(text)
    )
    return Reported(
        tool="MNNV2Basic",
        model=model[1] if model else None,
        n=whole(r"Run (\d+) time:", text),
        mean_ms=float(found[1]),
        min_ms=float(found[3]),
        max_ms=float(found[4]),
        delegate=None if backend is None else _BACKENDS.get(backend, f"backend {backend}"),
        layers=layers or None,
    )
