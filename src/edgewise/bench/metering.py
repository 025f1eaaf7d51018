"""Energy of a case: a meter runs while worker processes idle, infer and idle again.

Every process gives joules of its own; together they are one figure with an interval over them. A
declared power model takes the meter's place only where it is asked for by name, and is labelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from edgewise import sandbox
from edgewise.bench.statistics import median_interval
from edgewise.devices.adb.device import Phone
from edgewise.devices.job import Job, Report
from edgewise.devices.local import WORKER, report_of
from edgewise.devices.ssh.board import Board
from edgewise.energy import power, reckoning
from edgewise.energy.meters import registry
from edgewise.energy.meters.contract import Meter, Recording
from edgewise.energy.meters.files import Folder
from edgewise.energy.meters.polled import Polled
from edgewise.energy.reckoning import Windows
from edgewise.errors import DeviceError, UsageError
from edgewise.records import Energy, Measurement, RailEnergy
from edgewise.sandbox import Limits

#: `model` is the model that was declared for this machine, `model:NAME` a named one.
MODEL = "model"


def is_model(name: str) -> bool:
    """Whether a meter's name means a declared power model."""
    return name == MODEL or name.startswith(f"{MODEL}:")


def check(name: str, root: Path) -> None:
    """Refuse a meter that is not there, before anything is measured.

    Raises:
        UsageError: there is no such meter here, or no such power model.
        DeviceError: it is there and cannot be read; the hint says how to be let.
    """
    check_name(name)
    if is_model(name):
        return
    if registry.find(Folder(root), name) is None:
        kind = registry.by_name(name)
        where = " or ".join(f"{root / home}" for home in kind.HOMES)
        hint = f"it would be below {where}" if where else "it leaves logs: see `edgewise energy`"
        raise UsageError(f"no meter {name!r} on this machine", hint=hint)


def check_name(name: str) -> None:
    """Refuse a meter that no device can have.

    Raises:
        UsageError: there is no such meter or power model.
    """
    if is_model(name):
        _power(name)
    else:
        registry.by_name(name)


@contextmanager
def running(name: str, root: Path) -> Iterator[Meter]:
    """A meter that runs until the end of the block; then `samples` has what it said."""
    files = Folder(root)
    gauge = registry.find(files, name)
    if gauge is None:
        raise UsageError(f"no meter {name!r} on this machine")
    meter = Polled(gauge, files)
    meter.start()
    try:
        yield meter
    finally:
        meter.stop()


def on_phone(phone: Phone, job: Job, limits: Limits, name: str) -> tuple[Energy, Report | None]:
    """One process on a phone whose own meter is recorded there; none where it has no such meter.

    Raises:
        EdgewiseError: as `Device.measure`.
    """
    try:
        gauge = registry.find(phone.files(), name)
    except DeviceError as error:
        return _unknown(name, str(error)), None
    if gauge is None:
        return _unknown(name, f"no meter {name!r} on this phone"), None
    report, seen = phone.recorded(job, limits, gauge.paths, gauge.rate_hz)
    texts = {path: seen.texts.get(path, [None] * len(seen.moments_s)) for path in gauge.paths}
    return of_process(gauge.interpret(seen.moments_s, texts), report), report


def on_board(board: Board, job: Job, limits: Limits, name: str) -> tuple[Energy, Report | None]:
    """One process on a board beside its own meter, which is read there.

    Raises:
        EdgewiseError: as `Device.measure`.
    """
    longer = Limits(limits.seconds + 30, None)
    answer = board.call(
        "edgewise.bench.metering:beside", job, name, limits.seconds, limits.memory_bytes,
        limits=longer,
    )  # fmt: skip
    energy, report = answer.value
    return msgspec.convert(energy, Energy), report and msgspec.convert(report, Report)


def beside(job: dict[str, Any], name: str, seconds: float, memory: int | None) -> Any:
    """On the board: a worker beside a running meter; energy and report as builtins."""
    try:
        with running(name, Path("/")) as meter:
            answer = sandbox.call(WORKER, job, limits=Limits(seconds, memory))
    except (UsageError, DeviceError) as error:
        return msgspec.to_builtins((_unknown(name, str(error)), None))
    report = report_of(answer)
    return msgspec.to_builtins((of_process(meter.samples(), report), report))


def _unknown(name: str, reason: str) -> Energy:
    return Energy(inference_j=None, mean_w=None, idle_w=None, method=name, reason=reason)


def of_process(recording: Recording, report: Report) -> Energy:
    """The joules of one process, by the moments that it reported."""
    idle_from, active_from, active_to, idle_to = report.moments_s
    windows = Windows((active_from, active_to), ((idle_from, active_from), (active_to, idle_to)))
    return reckoning.energy(recording, windows, report.inferences)


def together(parts: Sequence[Energy]) -> Energy | None:
    """One figure for all processes; None where one of them could not be known: see `reasons`."""
    if not parts or reasons(parts):
        return None
    gross = sum(part.gross_j or 0.0 for part in parts)
    seconds = sum(part.active_s or 0.0 for part in parts)
    count = sum(part.inferences or 0 for part in parts)
    nets = [part.net_j for part in parts]
    net = None if None in nets else sum(each or 0.0 for each in nets)
    each_j = [part.inference_j for part in parts if part.inference_j]
    low, high = median_interval(each_j) if len(each_j) == len(parts) else (None, None)
    return Energy(
        inference_j=gross / count if count else None,
        net_inference_j=None if net is None or not count else net / count,
        mean_w=gross / seconds,
        idle_w=None if net is None else (gross - net) / seconds,
        method=parts[0].method,
        ci95_low_j=low,
        ci95_high_j=high,
        gross_j=gross,
        net_j=net,
        active_s=seconds,
        inferences=count,
        boundary=parts[0].boundary,
        quantum_j=max((p.quantum_j for p in parts if p.quantum_j is not None), default=None),
        missing_s=max((p.missing_s for p in parts if p.missing_s is not None), default=None),
        rails=_rails(parts),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def reasons(parts: Sequence[Energy]) -> list[str]:
    """Why processes gave no joules, each reason once."""
    return list(dict.fromkeys(part.reason for part in parts if part.reason is not None))


def _rails(parts: Sequence[Energy]) -> tuple[RailEnergy, ...]:
    """Summed over processes; a rail that one of them could not know is unknown."""
    seconds = sum(part.active_s or 0.0 for part in parts)
    rails = []
    for index, first in enumerate(parts[0].rails):
        each = [part.rails[index] for part in parts if len(part.rails) > index]
        reason = next((rail.reason for rail in each if rail.reason is not None), None)
        gross = None if reason else sum(rail.gross_j or 0.0 for rail in each)
        nets = [rail.net_j for rail in each]
        net = None if reason or None in nets else sum(value or 0.0 for value in nets)
        idle = None if gross is None or net is None else (gross - net) / seconds
        rails.append(
            RailEnergy(
                name=first.name, gross_j=gross, net_j=net, idle_w=idle, counted=first.counted,
                reason=reason,
            )
        )  # fmt: skip
    return tuple(rails)


def modelled(name: str, found: Measurement) -> Energy | None:
    """Joules by a declared power model: its power above idle times the median latency."""
    latency = found.latency_ms
    if latency is None or latency.p50 is None:
        return None
    model = _power(name)
    watts = model.busy_w(found.target.threads or 1)
    joules = watts * latency.p50 / 1e3
    scale = watts / 1e3
    return Energy(
        inference_j=None,
        net_inference_j=joules,
        mean_w=None,
        idle_w=model.idle_w,
        method=f"{MODEL}:{model.name}",
        ci95_low_j=None if latency.ci95_low is None else latency.ci95_low * scale,
        ci95_high_j=None if latency.ci95_high is None else latency.ci95_high * scale,
        boundary="the processor above idle, as declared: nothing was metered",
        notes=(f"declared power, not metered: {watts:.3g} W × the median time ({model.source})",),
    )


def _power(name: str) -> power.PowerModel:
    """The declared model of that name; for `model` alone that of this machine."""
    _, _, which = name.partition(":")
    which = which or power.power_here() or ""
    if not which:
        raise UsageError(
            "no power model was declared for this machine's processor",
            hint=f"--meter {MODEL}:NAME or {MODEL}:FILE.toml; known: {', '.join(power.powers())}",
        )
    return power.power(which)
