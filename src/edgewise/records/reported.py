"""What another benchmark tool reported of its own run: its figures, in our units."""

from __future__ import annotations

from typing import Literal

from edgewise.records.base import Record


class ReportedLayer(Record, frozen=True):
    """Mean time of one operator, as the tool's own profiler has it."""

    name: str
    op: str
    mean_ms: float


class Reported(Record, frozen=True):
    """One run of a tool. None: the tool did not report it. Times in ms, memory in MiB.

    `std_ms` is the population's, `p50_ms` the upper median, where the tool computes them so.
    `init_memory_mb` and `overall_memory_mb` are differences of a high-water mark (`ru_maxrss`), not
    what the model takes. `delegated`: how much of the graph the delegate took; `delegate_kernels`
    in how many pieces, `nodes_delegated` of `nodes` operators. `exit`: status of the tool's
    process, -1: the connection to the device was lost.
    """

    tool: str
    status: Literal["ok", "failed"] = "ok"
    reason: str | None = None
    exit: int | None = None
    model: str | None = None
    test: str | None = None
    init_ms: float | None = None
    first_ms: float | None = None
    warmup_n: int | None = None
    warmup_mean_ms: float | None = None
    n: int | None = None
    mean_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    std_ms: float | None = None
    p5_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    model_size_mb: float | None = None
    init_memory_mb: float | None = None
    overall_memory_mb: float | None = None
    peak_memory_mb: float | None = None
    threads: int | None = None
    affinity: str | None = None
    delegate: str | None = None
    delegated: Literal["full", "partial", "none"] | None = None
    delegate_kernels: int | None = None
    nodes: int | None = None
    nodes_delegated: int | None = None
    partitions: int | None = None
    layers: tuple[ReportedLayer, ...] | None = None
    tokens_per_s: float | None = None
    tokens_per_s_std: float | None = None
    first_token_ms: float | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    prefill_tokens_per_s: float | None = None
    decode_tokens_per_s: float | None = None
    samples_ms: tuple[float, ...] | None = None
