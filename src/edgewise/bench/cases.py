"""What a plan comes to: every model on every target of every device, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from edgewise.archive import File
from edgewise.bench import assemble, metering, sources
from edgewise.bench.plan import Plan, Settings
from edgewise.bench.sources import ModelFile
from edgewise.devices import registry
from edgewise.devices.contract import Device
from edgewise.devices.job import Purpose, Report
from edgewise.errors import DeviceError, EdgewiseError
from edgewise.formats.candidates import is_readable, model_files
from edgewise.records import Context, DeviceState, Energy, Measurement, Target

#: Runtime and delegate in the target of a failure that came before any target was tried.
NOT_TRIED = "none"


@dataclass(slots=True)
class Case:
    """One model on one target, and what its processes reported so far."""

    device: Device
    model: ModelFile
    target: Target
    context: Context
    rounds: int
    before: DeviceState | None = None
    reports: list[Report] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    energies: list[Energy] = field(default_factory=list)
    spent_s: float = 0.0
    timed: int = 0
    failed: str | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    purpose: Purpose
    evicted: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """What is to come: targets (of all models), processes, and how long that takes, in s.

    At least as long as the runs that were asked for take, at most as long as they may.
    """

    targets: int
    processes: int
    least_s: float
    most_s: float


#: What a process needs beside its runs: its start, the runtime's import, loading and warm-up.
_PROCESS_S = 0.6


def outline(cases: list[Case], settings: Settings) -> Outline:
    energy_s = 3 * settings.energy_s * (settings.energy_processes if settings.meter else 0)
    energy_s += settings.sustained_s or 0.0
    places: dict[str, list[float]] = {}
    for case in cases:
        least, most = places.setdefault(case.device.place, [0.0, 0.0])
        others = case.rounds * _PROCESS_S + energy_s
        timed = min(settings.processes * settings.min_time_s, settings.max_time_s)
        places[case.device.place] = [
            least + others + timed,
            most + others + max(settings.max_time_s, timed),
        ]
    return Outline(
        targets=len(cases),
        processes=sum(case.rounds for case in cases),
        least_s=max((least for least, _ in places.values()), default=0.0),
        most_s=max((most for _, most in places.values()), default=0.0),
    )


def cases_of(plan: Plan, until_end: ExitStack) -> tuple[list[Case], list[Measurement]]:
    """What can be tried, and what fails before a process is started."""
    cases: list[Case] = []
    failures: list[Measurement] = []
    found = _found(plan, until_end)
    opened: set[str] = set()
    for name in plan.devices:
        for device, context in _opened(name, plan, opened, until_end):
            if isinstance(context, str):
                failures += [
                    _nothing(path, None, device if isinstance(device, str) else device.name, plan,
                             context, Context())
                    for path in plan.paths
                ]  # fmt: skip
                continue
            assert not isinstance(device, str)
            try:
                affinities = plan.affinities(device.describe().facts if plan.cpus else None)
            except DeviceError as error:
                failures += [
                    _nothing(path, None, device.name, plan, str(error), context)
                    for path in plan.paths
                ]
                continue
            for path, files in found.items():
                if isinstance(files, str):
                    failures.append(_nothing(path, None, device.name, plan, files, context))
                    continue
                for file in files:
                    more, failed = _of_file(file, plan, device, context, affinities)
                    cases += more
                    failures += failed
    return cases, failures


def _opened(
    name: str, plan: Plan, before: set[str], until_end: ExitStack
) -> Iterator[tuple[Device | str, Context | str]]:
    """The devices that a name means, each with its context, or why it cannot be measured on."""
    try:
        devices = registry.find(name, plan.options)
    except DeviceError as error:
        yield name, str(error).removeprefix(f"{name}: ")
        return
    for device in devices:
        if device.name in before:  # named, and meant by a wildcard too
            continue
        before.add(device.name)
        until_end.callback(device.close)
        try:
            yield device, device.context(affinity=plan.affinity)
        except DeviceError as error:
            yield device, str(error).removeprefix(f"{device.name}: ")


def _found(plan: Plan, until_end: ExitStack) -> dict[str, list[ModelFile | _Unfit] | str]:
    """The model files of every path, or why there is none."""
    found: dict[str, list[ModelFile | _Unfit] | str] = {}
    for path in plan.paths:
        try:
            files = [_localised(file, until_end) for file in model_files(path, is_readable)]
        except EdgewiseError as error:
            found[path] = _without(path, error)
            continue
        found[path] = files or "no file in this folder is of a format that can be run"
    return found


@dataclass(frozen=True, slots=True)
class _Unfit:
    """A file that no device can be asked about."""

    path: str
    reason: str


def _localised(file: File, until_end: ExitStack) -> ModelFile | _Unfit:
    try:
        return sources.localise(file, until_end)
    except EdgewiseError as error:
        return _Unfit(file.path, _without(file.path, error))


def _of_file(
    model: ModelFile | _Unfit,
    plan: Plan,
    device: Device,
    context: Context,
    affinities: tuple[tuple[int, ...] | None, ...],
) -> tuple[list[Case], list[Measurement]]:
    """One file on all targets of a device, or why there is none."""
    if isinstance(model, _Unfit):
        return [], [_nothing(model.path, None, device.name, plan, model.reason, context)]
    targets = plan.targets(model.format, device.name, device.offers, affinities)
    if not targets:
        reason = f"{' and '.join(plan.runtimes)} cannot run {model.format} files"
        return [], [_nothing(model.path, model.sha256, device.name, plan, reason, context)]
    rounds = len(rounds_of(plan.settings, device))
    targets = tuple(each for each in targets if (model.sha256, each) not in plan.done)
    return [Case(device, model, target, context, rounds) for target in targets], []


def _without(path: str, error: EdgewiseError) -> str:
    """What went wrong, without the path: the record has it."""
    return str(error).removeprefix(f"{path}: ")


def _nothing(
    path: str, sha256: str | None, device: str, plan: Plan, reason: str, context: Context
) -> Measurement:
    """A failure before any target was tried."""
    target = Target(
        device=device, runtime=NOT_TRIED, delegate=NOT_TRIED, threads=plan.threads[0],
        batch=plan.batches[0], affinity=plan.affinity,
    )  # fmt: skip
    return assemble.failure(path, sha256, target, reason, context)


def rounds_of(settings: Settings, device: Device) -> list[Round]:
    """What each case's processes are for: timed ones first, then load and first inference; of
    these what the device can do."""
    timed = [Round("timed")] * settings.processes
    warm = [Round("load")] * max(0, settings.load_processes - settings.processes)
    evicted = [Round("load", evicted=True)] * settings.evicted_processes
    profile = [Round("profile")] if settings.profile and "profile" in device.phases else []
    metered = settings.meter is not None and not metering.is_model(settings.meter)
    long = [Round("sustained")] if settings.sustained_s is not None else []
    energy = [Round("energy")] * settings.energy_processes if metered else []
    return [
        *timed,
        *_alternate(
            warm if "load" in device.phases else [], evicted if "evicted" in device.phases else []
        ),
        *profile,
        *(energy if "energy" in device.phases else []),
        *(long if "sustained" in device.phases else []),
    ]


def _alternate(a: list[Round], b: list[Round]) -> Iterator[Round]:
    for index in range(max(len(a), len(b))):
        yield from a[index : index + 1]
        yield from b[index : index + 1]
