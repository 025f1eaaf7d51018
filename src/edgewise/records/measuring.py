"""Measurements: targets, samples, their circumstances, and the devices that give them."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgewise.records.base import Record
from edgewise.records.reported import Reported

Outcome = Literal["ok", "failed", "skipped"]
Stability = Literal["stable", "noisy", "drifting"]


class Target(Record, frozen=True):
    """Where and how a model runs. `affinity` lists the CPUs it is pinned to, None: not pinned.

    `threads` None: whoever measured did not report them.
    `options` are the runtime's own that were set, each as `name=value`, in the order of names.
    """

    device: str = "host"
    runtime: str = "litert"
    delegate: str = "cpu"
    threads: int | None = 1
    batch: int = 1
    affinity: tuple[int, ...] | None = None
    options: tuple[str, ...] = ()


class Distribution(Record, frozen=True):
    """Samples in short, in ms. A quantile without enough samples is None (measuring.md).

    `ci95_low`, `ci95_high`: interval of the median over processes.
    """

    n: int
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    ci95_low: float | None = None
    ci95_high: float | None = None


class RailEnergy(Record, frozen=True):
    """One rail, zone or channel of a meter: joules of the active part, and idle power.

    `counted`: it is part of the sum; others lie inside one that is. None with the `reason` where it
    cannot be known.
    """

    name: str
    gross_j: float | None = None
    net_j: float | None = None
    idle_w: float | None = None
    counted: bool = True
    reason: str | None = None


class Energy(Record, frozen=True):
    """Energy of one inference, gross of what is inside the measured boundary.

    `net_inference_j` has idle power of equal length taken off. `gross_j` and `net_j` are of the
    whole active part of `active_s` with so many `inferences`. `boundary` says what is inside.
    `quantum_j` is the smallest step that the meter can tell, `missing_s` how long it said nothing
    in the active part. The interval is of `inference_j`, over processes.
    """

    inference_j: float | None
    mean_w: float | None
    idle_w: float | None
    method: str
    ci95_low_j: float | None = None
    ci95_high_j: float | None = None
    net_inference_j: float | None = None
    gross_j: float | None = None
    net_j: float | None = None
    active_s: float | None = None
    inferences: int | None = None
    boundary: str | None = None
    quantum_j: float | None = None
    missing_s: float | None = None
    rails: tuple[RailEnergy, ...] = ()
    reason: str | None = None
    notes: tuple[str, ...] = ()


class Context(Record, frozen=True):
    """The circumstances a measurement was taken in. None where the machine does not tell."""

    cpu_model: str | None = None
    architecture: str | None = None
    cores: int | None = None
    affinity: tuple[int, ...] | None = None
    governor: str | None = None
    frequency_mhz: float | None = None
    load_average: float | None = None
    temperature_c: float | None = None
    memory_bytes: int | None = None
    os: str | None = None
    kernel: str | None = None
    container: str | None = None
    python: str | None = None
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    started_at: str | None = None
    emulated: str | None = None


class DeviceState(Record, frozen=True):
    """What changes on a device while it measures. None where it does not tell; `notes` say why.

    `temperature_c` is of the sensor `temperature_of` (a phone: its skin). `frequencies_khz` by CPU,
    None: asleep. `thermal_status`: 0 not throttled … 6 shutting down, as Android counts.
    """

    at: str | None = None
    temperature_c: float | None = None
    temperature_of: str | None = None
    thermal_status: int | None = None
    frequencies_khz: tuple[int | None, ...] = ()
    load_average: float | None = None
    memory_available_bytes: int | None = None
    battery_percent: float | None = None
    charging: bool | None = None
    battery_saver: bool | None = None
    doze: str | None = None
    wakefulness: str | None = None
    cpuset: str | None = None
    notes: tuple[str, ...] = ()


class DeviceFacts(Record, frozen=True):
    """What a device is and does not change. `top_khz` by CPU; `big` and `little` are the CPUs of
    the highest and the lowest top frequency, None where all are alike or it is not told.

    `current_unit` and `discharging_is` are of the battery's current as the kernel reports it.
    """

    model: str | None = None
    maker: str | None = None
    soc: str | None = None
    android: str | None = None
    sdk: int | None = None
    abi: str | None = None
    cores: int | None = None
    top_khz: tuple[int | None, ...] = ()
    big: tuple[int, ...] | None = None
    little: tuple[int, ...] | None = None
    memory_kb: int | None = None
    charging: bool | None = None
    current_unit: str | None = None
    discharging_is: str | None = None
    power_rails: str | None = None
    temperature: str | None = None
    ignored_sensors: tuple[str, ...] = ()
    affinity: str | None = None
    exit_status: str | None = None
    reasons: dict[str, str] = msgspec.field(default_factory=dict)


class Delegation(Record, frozen=True):
    """What a delegate took of the graph, as the runtime tells it.

    `operators` are those of the graph as the runtime loaded it, `delegated` those that the delegate
    took, in so many `partitions`; `fell_back` counts the others by operator: the runtime's own
    kernels ran them. What the runtime does not tell is None, and `reason` says why.
    """

    delegate: str
    fell_back: dict[str, int]
    operators: int | None = None
    delegated: int | None = None
    partitions: int | None = None
    reason: str | None = None


class SustainedWindow(Record, frozen=True):
    """About a second of a sustained run: from when on, the median time, what the device said."""

    at_s: float
    median_ms: float
    runs: int
    frequency_mhz: float | None = None
    temperature_c: float | None = None


class Sustained(Record, frozen=True):
    """One process that infers for long: the first minute against the last.

    `ratio` above 1: the last took longer. Frequencies and temperatures are means over both, None
    where the device does not tell. Of a run of under ten minutes, the tenth part takes a minute's
    place.
    """

    seconds: float
    first_ms: float
    last_ms: float
    ratio: float
    first_mhz: float | None = None
    last_mhz: float | None = None
    first_c: float | None = None
    last_c: float | None = None
    windows: tuple[SustainedWindow, ...] = ()


class LayerTime(Record, frozen=True):
    """Time of one layer under the runtime's own profiler, in ms per inference."""

    name: str
    op: str
    mean_ms: float
    share: float


class Sample(Record, frozen=True):
    """One timed event of a measurement. Warm-ups are kept and marked."""

    process: int
    phase: Literal["load", "load_evicted", "first", "first_evicted", "warmup", "timed"]
    index: int
    ms: float


class FedInput(Record, frozen=True):
    """An input as a model was fed it: its shape with the batch, its type."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Measurement(Record, frozen=True):
    """All samples of one model on one target, with the context they were taken in.

    `load_ms` and `first_ms` are over fresh processes with the file in the page cache,
    `load_evicted_ms` and `first_evicted_ms` with it evicted. `peak_memory_bytes` is the worker's
    high-water mark above what the runtime's import had taken. `origin`: measured by this package,
    or imported from another tool's output, of which `reported` has every figure as it stood there.
    `inputs` are what the model was fed; none where whoever measured did not say.
    """

    model: str
    sha256: str | None
    target: Target
    status: Outcome = "ok"
    reason: str | None = None
    load_ms: Distribution | None = None
    load_evicted_ms: Distribution | None = None
    first_ms: Distribution | None = None
    first_evicted_ms: Distribution | None = None
    latency_ms: Distribution | None = None
    throughput_items_per_s: float | None = None
    peak_memory_bytes: int | None = None
    anonymous_memory_bytes: int | None = None
    energy: Energy | None = None
    stability: Stability | None = None
    stability_reason: str | None = None
    processes: int | None = None
    warmup_runs: int | None = None
    rate_hz: float | None = None
    inputs: tuple[FedInput, ...] = ()
    context: Context = Context()
    state_before: DeviceState | None = None
    state_after: DeviceState | None = None
    layer_times: tuple[LayerTime, ...] | None = None
    coverage: Delegation | None = None
    sustained: Sustained | None = None
    samples: tuple[Sample, ...] = ()
    origin: Literal["measured", "imported"] = "measured"
    reported: Reported | None = None
    notes: tuple[str, ...] = ()


class RuntimeOption(Record, frozen=True):
    """A setting that one runtime has: its values where they are a list, else any."""

    name: str
    help: str
    values: tuple[str, ...] = ()
    default: str | None = None


class RuntimeInfo(Record, frozen=True):
    """A runtime that a device has, or the reason that it has not."""

    name: str
    version: str | None
    delegates: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    options: tuple[RuntimeOption, ...] = ()
    available: bool = True
    reason: str | None = None


class Device(Record, frozen=True):
    """A device that can be measured on now, and what it can measure."""

    name: str
    kind: str
    description: str
    runtimes: tuple[RuntimeInfo, ...] = ()
    meters: tuple[str, ...] = ()
    facts: DeviceFacts | None = None
    available: bool = True
    context: Context = Context()
    notes: tuple[str, ...] = ()
