"""What is asked of one worker process, and what it reports."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgewise.records import Delegation, FedInput, LayerTime, Reported, SustainedWindow, Target

Purpose = Literal["timed", "load", "profile", "energy", "sustained"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One process: load a model, run it once, and then as often as the purpose needs.

    `max_time_s` is this process's share of its target's cap, for warm-up and timed runs. `evicted`:
    drop `files` from the page cache before loading; otherwise they are read into it. `rate_hz`: at
    most so many inferences a second, with pauses between them; None: back to back. `phase_s`: of
    purpose "energy", how long it idles, infers and idles again, each; of
    "sustained", how long it infers.
    """

    path: str
    files: tuple[str, ...]
    target: Target
    purpose: Purpose
    evicted: bool
    shapes: dict[str, tuple[int, ...]]
    input_path: str | None
    seed: int
    runs: int
    min_time_s: float
    max_time_s: float
    warmup_runs: int | None
    rate_hz: float | None = None
    phase_s: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one process measured, in ns.

    `evicted` is False where it was asked for and did not work. `every` > 1: only every so-manieth
    call was timed, since there are too many to keep. `cpu_wait_share` is the part of the timed
    phase that the main thread was ready to run and had no CPU. Memory is above the baseline taken
    after the runtime's import. `used` are settings as the runtime and the system say that they
    were, read back. `inputs` are those it ran with. `reported`: of a tool that gives no samples,
    only its summary.
    `moments_s`, of purpose "energy": when idling, inferring, idling again began and when that
    ended, on the system's monotonic clock; with so many `inferences` in between.
    `stood_still_ms`: how long the process neither ran nor waited for a CPU while it timed runs.
    """

    versions: dict[str, str]
    load_ns: int
    first_ns: int
    evicted: bool
    warmup_ns: list[int] = []
    steady: bool = True
    timed_ns: list[int] = []
    every: int = 1
    spent_s: float = 0.0
    cpu_wait_share: float | None = None
    peak_memory_bytes: int | None = None
    anonymous_memory_bytes: int | None = None
    layer_times: tuple[LayerTime, ...] | None = None
    coverage: Delegation | None = None
    used: dict[str, str] = {}
    inputs: tuple[FedInput, ...] = ()
    reported: Reported | None = None
    moments_s: list[float] = []
    inferences: int = 0
    stood_still_ms: float = 0.0
    windows: tuple[SustainedWindow, ...] = ()
    notes: list[str] = []
