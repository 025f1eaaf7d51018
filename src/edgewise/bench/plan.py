"""What to measure, on which targets, and how thoroughly."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgewise.bench import metering
from edgewise.devices import cores
from edgewise.devices import registry as known_devices
from edgewise.devices.contract import Offer, Options
from edgewise.errors import UsageError
from edgewise.records import DeviceFacts, Target
from edgewise.runtimes import registry as own_runtimes

#: Stands for the preferred runtime of a file's format.
AUTO = "auto"


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise UsageError(f"{name} must be at least {least}, not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How thoroughly.

    `runs` and `min_time_s` hold for every process, `max_time_s` for all processes of a target
    together, and wins. `load_processes` is over how many fresh processes load and first inference
    are measured with the file in the page cache (those that also time runs count),
    `evicted_processes` with it evicted. `warmup_runs` None: until steady. `timeout_s` is what a
    worker may need beyond its runs, `memory_bytes` what private memory it may have (None: as much
    as the machine has, so that a broken model cannot take the machine with it). `rate_hz`: so many
    inferences a second at most, None: back to back. `meter` names what measures energy (None:
    nothing), with its files below `meter_root`, in so many processes, each of which idles, infers
    and idles for `energy_s`. `sustained_s`: one process more infers for so long.
    """

    processes: int = 5
    load_processes: int = 10
    evicted_processes: int = 10
    runs: int = 100
    min_time_s: float = 1.0
    max_time_s: float = 150.0
    warmup_runs: int | None = None
    timeout_s: float = 60.0
    memory_bytes: int | None = None
    seed: int = 0
    profile: bool = False
    rate_hz: float | None = None
    meter: str | None = None
    meter_root: Path = Path("/")
    energy_processes: int = 3
    energy_s: float = 10.0
    sustained_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            UsageError: names the setting.
        """
        for name in ("processes", "runs"):
            _at_least(name, getattr(self, name), 1)
        for name in ("load_processes", "evicted_processes", "min_time_s", "seed"):
            _at_least(name, getattr(self, name), 0)
        if self.warmup_runs is not None:
            _at_least("warmup_runs", self.warmup_runs, 0)
        for name in ("max_time_s", "timeout_s"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("rate_hz", "energy_s", "sustained_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be above 0, not {value}")
        _at_least("energy_processes", self.energy_processes, 1)
        if self.meter is not None and self.meter_root == Path("/"):
            metering.check_name(self.meter)  # whether it is there depends on the device
        elif self.meter is not None:
            metering.check(self.meter, self.meter_root)
        if self.memory_bytes is not None:
            _at_least("memory_bytes", self.memory_bytes, 1)


#: A first look: seconds instead of minutes, and intervals too wide to decide on.
QUICK = Settings(
    processes=3, load_processes=3, evicted_processes=0, runs=20, min_time_s=0.1, max_time_s=10.0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every model of `paths` on every combination of device, runtime, delegate, threads and batch.

    `devices` are names as `devices.registry` knows them. `paths` are files, folders or files inside
    packages. `delegates` empty: the default of each runtime. `shapes` by name of the input.
    `input_path`: an .npy or .npz file with the inputs. `runtime_options`: each runtime is set those
    that it has. `cpus`: groups of CPUs to pin to, each measured: "big", "little" (by their top
    frequency), or a list such as "0-3". `done`: files by their hash and targets that an earlier run
    measured: they are left out.
    """

    paths: tuple[str, ...]
    devices: tuple[str, ...] = ("host",)
    runtimes: tuple[str, ...] = (AUTO,)
    delegates: tuple[str, ...] = ()
    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = (1,)
    affinity: tuple[int, ...] | None = None
    cpus: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    input_path: Path | None = None
    runtime_options: tuple[tuple[str, str], ...] = ()
    settings: Settings = Settings()
    options: Options = known_devices.DEFAULT
    done: frozenset[tuple[str, Target]] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what is contradictory or cannot exist on this device.

        Raises:
            UsageError: names the setting.
        """
        for name in ("paths", "devices", "runtimes", "threads", "batches"):
            values = getattr(self, name)
            if not values:
                raise UsageError(f"{name}: nothing given")
            if len(set(values)) < len(values):
                raise UsageError(f"{name}: something is given twice")
        for name in ("threads", "batches"):
            _at_least(name, min(getattr(self, name)), 1)
        if self.cpus and self.affinity is not None:
            raise UsageError("affinity and cpus both say where to run: give one")
        for each in self.cpus:
            if each not in cores.NAMES:
                cores.parse_list(each)
        for device in self.devices:
            if device.startswith("host") and self.settings.meter is not None:
                metering.check(self.settings.meter, self.settings.meter_root)
            _check_runtimes(self.runtimes, known_devices.kind_of(device).RUNTIMES)
            if self.affinity is not None:
                known_devices.kind_of(device).check_affinity(device, self.affinity)
        _check_input(self.input_path)
        self._check_options()

    def _check_options(self) -> None:
        """Refuse an option that none of the wanted runtimes has."""
        wanted = [
            each
            for each in own_runtimes.runtimes()
            if AUTO in self.runtimes or each.NAME in self.runtimes
        ]
        known = sorted({option.name for each in wanted for option in each.OPTIONS})
        for name, _ in self.runtime_options:
            if name not in known:
                raise UsageError(f"no option {name!r}", hint=f"known: {', '.join(known) or 'none'}")

    def with_settings(self, **changes: object) -> Plan:
        """The same plan, some settings changed."""
        settings = dataclasses.replace(self.settings, **changes)  # type: ignore[arg-type]
        return dataclasses.replace(self, settings=settings)

    def affinities(self, facts: DeviceFacts | None) -> tuple[tuple[int, ...] | None, ...]:
        """The CPUs to pin to, one measurement for each, on a device with these facts.

        Raises:
            DeviceError: it has no such group of CPUs, or does not tell.
        """
        if not self.cpus:
            return (self.affinity,)
        return tuple(cores.named(each, facts) for each in self.cpus)

    def targets(
        self,
        format_name: str,
        device: str = "host",
        offers: tuple[Offer, ...] | None = None,
        affinities: tuple[tuple[int, ...] | None, ...] | None = None,
    ) -> tuple[Target, ...]:
        """The targets for a file of this format on a device that has these runtimes (None: those of
        this package), pinned to each of `affinities` (None: to `affinity`); none where no wanted
        runtime runs it."""
        there = [each for each in offers or own_offers() if format_name in each.formats]
        auto = there[:1] if AUTO in self.runtimes else []
        by_name = {each.name: each for each in there}
        wanted = [*auto, *(by_name[name] for name in self.runtimes if name in by_name)]
        return tuple(
            Target(
                device=device, runtime=runtime.name, delegate=delegate,
                threads=threads, batch=batch, affinity=affinity,
                options=self._options_of(runtime.name),
            )
            for runtime in dict.fromkeys(wanted)
            for delegate in self.delegates or (runtime.default_delegate,)
            for threads in self.threads
            for batch in self.batches
            for affinity in (affinities or (self.affinity,))
        )  # fmt: skip

    def _options_of(self, name: str) -> tuple[str, ...]:
        """Those of `runtime_options` that a runtime has, as targets name them."""
        has = {
            option.name
            for runtime in own_runtimes.runtimes()
            if name == runtime.NAME
            for option in runtime.OPTIONS
        }
        return tuple(sorted(f"{key}={value}" for key, value in self.runtime_options if key in has))


def own_offers() -> tuple[Offer, ...]:
    """The runtimes of this package, as a device that runs its worker has them."""
    return tuple(
        Offer(each.NAME, tuple(each.FORMATS), (), each.DEFAULT_DELEGATE)
        for each in own_runtimes.runtimes()
    )


def _check_runtimes(wanted: tuple[str, ...], there: tuple[str, ...] | None) -> None:
    for name in wanted:
        if name == AUTO or (there is not None and name in there):
            continue
        if there is not None:
            raise UsageError(f"no runtime {name!r}", hint=f"known: {', '.join(there)}")
        own_runtimes.by_name(name)


def _check_input(path: Path | None) -> None:
    if path is not None and path.suffix not in (".npy", ".npz"):
        raise UsageError(f"{path}: inputs are given as an .npy or .npz file")
    if path is not None and not path.is_file():
        raise UsageError(f"{path}: no such file")
