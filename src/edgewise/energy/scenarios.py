"""What using a network takes from a battery: scenarios as data, joules from measurements.

An inference's joules times how often the scenario infers; idle power is not counted (the device has
it anyway). mAh are joules over the battery's voltage.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

from edgewise.energy.computing import metered
from edgewise.energy.power import PowerModel, compute_energy
from edgewise.errors import InputError, UsageError
from edgewise.records import Measurement, Target

_DATA = Path(__file__).parent / "data" / "scenarios.toml"
_SECONDS_PER_HOUR = 3600.0
#: A measurement was paced as the scenario is if their rates differ by less than this part.
_SAME_RATE = 0.05


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """So many inferences in `seconds` (None: as long as they take), at most `rate_hz` a second
    (None: one after the other). `tasks`: words of the tasks that fit; `options`: the runtime's."""

    name: str
    title: str
    tasks: tuple[str, ...]
    inferences: int
    source: str
    seconds: float | None = None
    rate_hz: float | None = None
    options: tuple[str, ...] = ()

    def fits(self, task: str | None) -> bool:
        """Whether a model of this task is used so. One whose task is unknown fits nothing."""
        said = (task or "").lower().replace("_", " ").replace("-", " ")
        return any(word.replace("-", " ") in said for word in self.tasks)


class Battery(msgspec.Struct, frozen=True, kw_only=True):
    """A battery by its charge and its mean voltage."""

    mah: float = 4000.0
    volts: float = 3.85

    @property
    def joules(self) -> float:
        """What it holds."""
        return self.mah / 1e3 * self.volts * _SECONDS_PER_HOUR


class ScenarioCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one scenario takes with one model on one target; None with the `reason`.

    `energy_j` is above idle, `mah` and `battery_percent` of `battery`. `busy_s`: how long it
    computes. `method`: the meter's, or `model:NAME` of a declared power.
    """

    scenario: str
    title: str
    model: str
    sha256: str | None
    target: Target
    task: str | None
    inferences: int
    battery: Battery
    busy_s: float | None = None
    energy_j: float | None = None
    mah: float | None = None
    battery_percent: float | None = None
    method: str | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()


@cache
def scenarios() -> dict[str, Scenario]:
    """The scenarios that come with the package, by name."""
    return read_scenarios(_DATA)


def scenario(name: str, known: dict[str, Scenario] | None = None) -> Scenario:
    """A scenario by its name.

    Raises:
        UsageError: there is none.
    """
    known = scenarios() if known is None else known
    if name not in known:
        raise UsageError(f"no scenario {name!r}", hint=f"known: {', '.join(known)}")
    return known[name]


def read_scenarios(file: Path) -> dict[str, Scenario]:
    """Scenarios of a TOML file, in the layout of the package's own.

    Raises:
        InputError: not TOML, an unknown key, a number that cannot be.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        found = msgspec.convert(content.get("scenario", []), list[Scenario])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the scenarios {file} cannot be read: {error}") from error
    except msgspec.ValidationError as error:
        raise InputError(f"the scenarios {file}: {error}") from error
    for one in found:
        numbers = (one.inferences, one.seconds or 1.0, one.rate_hz or 1.0)
        if not all(number > 0 for number in numbers):
            raise InputError(f"the scenarios {file}: '{one.name}' has a number that is none")
    if not found or len({one.name for one in found}) < len(found):
        raise InputError(f"the scenarios {file}: none, or a name is used twice")
    return {one.name: one for one in found}


def costs(
    wanted: Sequence[Scenario],
    measurements: Sequence[Measurement],
    tasks: dict[str, str],
    battery: Battery,
    *,
    power: PowerModel | None = None,
    all_models: bool = False,
) -> list[ScenarioCost]:
    """Every scenario with every model whose task fits (`tasks` by the file's hash), or with all.

    `power` takes a meter's place where nothing was metered.
    """
    return [
        cost(one, measurement, tasks.get(measurement.sha256 or ""), battery, power)
        for one in wanted
        for measurement in measurements
        if measurement.status == "ok"
        and (all_models or one.fits(tasks.get(measurement.sha256 or "")))
    ]


def cost(
    of: Scenario,
    measured: Measurement,
    task: str | None,
    battery: Battery,
    power: PowerModel | None = None,
) -> ScenarioCost:
    """What a scenario takes with what was measured."""
    latency = measured.latency_ms
    each_ms = None if latency is None else latency.p50 if latency.p50 is not None else latency.mean
    found = ScenarioCost(
        scenario=of.name, title=of.title, model=measured.model, sha256=measured.sha256,
        target=measured.target, task=task, inferences=of.inferences, battery=battery,
        busy_s=None if each_ms is None else each_ms / 1e3 * of.inferences,
    )  # fmt: skip
    reason = _too_slow(of, each_ms)
    each_j, method = (None, None) if reason else _each_j(measured, each_ms, power)
    if each_j is None:
        reason = reason or "nothing was metered: bench --meter, or --power for a declared one"
        return msgspec.structs.replace(found, reason=reason)
    joules = each_j * of.inferences
    return msgspec.structs.replace(
        found,
        energy_j=joules,
        mah=joules / battery.volts / _SECONDS_PER_HOUR * 1e3,
        battery_percent=100 * joules / battery.joules,
        method=method,
        notes=tuple(_notes(of, measured)),
    )


def _too_slow(of: Scenario, each_ms: float | None) -> str | None:
    if each_ms is None:
        return "its time was not measured"
    if of.rate_hz is not None and each_ms > 1e3 / of.rate_hz:
        return (
            f"too slow: it takes {each_ms:.3g} ms, and {of.rate_hz:g} a second leave "
            f"{1e3 / of.rate_hz:.3g} ms"
        )
    return None


def _each_j(
    measured: Measurement, each_ms: float | None, power: PowerModel | None
) -> tuple[float | None, str | None]:
    """Joules of one inference above idle, and where they are from."""
    energy = measured.energy
    by_meter = metered(energy, each_ms or 0.0)
    if by_meter is not None:
        return by_meter.inference_j, by_meter.method
    if energy is not None and energy.inference_j is None and energy.net_inference_j is not None:
        return energy.net_inference_j, energy.method
    if power is not None and each_ms is not None:
        joules = compute_energy(power, each_ms, measured.target.threads or 1)
        return joules, f"model:{power.name}"
    return None, None


def _notes(of: Scenario, measured: Measurement) -> list[str]:
    notes = []
    paced = measured.rate_hz
    if of.rate_hz is not None and (paced is None or abs(paced / of.rate_hz - 1) > _SAME_RATE):
        how = "back to back" if paced is None else f"at {paced:g} a second"
        notes.append(
            f"measured {how}, used at {of.rate_hz:g} a second: pauses change speed and power "
            f"(bench --scenario {of.name})"
        )
    missing = [option for option in of.options if option not in measured.target.options]
    if missing:
        notes.append(f"measured without {', '.join(missing)} (bench --scenario {of.name})")
    return notes
