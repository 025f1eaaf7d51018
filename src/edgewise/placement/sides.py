"""The two sides of a computed comparison: machines with the profiles of models on them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple

from edgewise.devices import host
from edgewise.energy.power import PowerModel, power, power_here, powers
from edgewise.errors import InputError, UsageError
from edgewise.placement.preprocess import Costs, costs, machines
from edgewise.placement.stored import input_sizes, was_filled_here
from edgewise.records import Method, Profile
from edgewise.selection.profiles.targets import Wanted


class _Phone(NamedTuple):
    """Whose cores and power a published set of profiles has, and how many threads."""

    core: str
    power: str | None
    threads: int


_PHONES: Mapping[str, _Phone] = {
    "pixel3": _Phone("pixel-3", "pixel-3", 4),
    "pixel3-gpu": _Phone("pixel-3", None, 1),
    "pixel3-nnapi": _Phone("pixel-3", None, 1),
}
_METHODS: Mapping[str, Method] = {"published": "published"}


@dataclass(frozen=True, eq=False)
class Machine:
    """A device or a server: how long it takes for models, and what it takes from a battery.

    `threads` compute at a time. `power` is None where nobody declared one: its energy is not known
    then. `costs` are those of its cores, for preprocessing. `input_sizes` maps a model to the
    height and width of the images that it takes, where that is known. `whole_phone` as in
    `energy.computing.Computing`.
    """

    name: str
    profiles: Sequence[Profile]
    costs: Costs = field(default_factory=costs)
    power: PowerModel | None = None
    threads: int = 1
    input_sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    whole_phone: bool = False

    def by_key(self) -> dict[str, Profile]:
        """Profiles by what their models' names have in common with other tables'."""
        return {key(profile.model): profile for profile in self.profiles}


def machine(
    source: str,
    *,
    name: str | None = None,
    which: Wanted | None = None,
    power_model: str | None = None,
    slowdown: str | float | None = None,
    threads: int | None = None,
    whole_phone: bool = False,
) -> Machine:
    """A machine from profiles: a published set (`pixel3`, `p2`), a CSV file, or a store.

    Args:
        source: as `simulate --profiles` takes it.
        which: which targets of a store count; None: each model's best.
        power_model: as `energy.power.power` takes it; None: that of the phone, or of this machine
            where a store was filled on one with its processor, if it is known.
        slowdown: as `preprocess.costs` takes it; None: that of the power model's device, if it is
            known, else a server's core.
        threads: how many compute; None: what the source says.
        whole_phone: base and screen power count too.

    Raises:
        InputError, UsageError: no such profiles, power model or machine.
    """
    phone = _PHONES.get(source)
    profiles = _profiles(source, which)
    is_stored = _is_store(source)
    described = power_model or (phone.power if phone else None)
    if described is None and is_stored:
        described = _power_of(source, profiles)
    model = power(described) if described else None
    stated = re.search(r"threads=(\d+)", profiles[0].source or "")
    known_threads = int(stated[1]) if stated else phone.threads if phone else 1
    return Machine(
        name=name or PurePath(source.rstrip("/")).name.split(".")[0],
        profiles=profiles,
        costs=costs(slowdown if slowdown is not None else _core(phone, model)),
        power=model,
        threads=threads or known_threads,
        input_sizes=input_sizes(source) if is_stored else {},
        whole_phone=whole_phone,
    )


def measured_devices(source: str) -> set[str]:
    """Names of the devices that a store has measurements of; none of what is no store.

    Raises:
        StoreError: the store cannot be read.
    """
    if not _is_store(source):
        return set()
    from edgewise.selection.profiles.targets import device_names
    from edgewise.store import Store

    measured = [one for one in Store.open(source).measurements() if one.status == "ok"]
    return set(map(device_names(measured), measured)) | {one.target.device for one in measured}


def _profiles(source: str, which: Wanted | None) -> Sequence[Profile]:
    """Times are enough here: models of a store count even where nobody measured their accuracy."""
    from edgewise.selection.profiles import sources, stored

    if _is_store(source):
        return stored.read_times(source, which or Wanted())
    return sources.load(source).table.profiles


def _power_of(source: str, profiles: Sequence[Profile]) -> str | None:
    """The power of this machine, for what it measured itself."""
    mine = all((profile.source or "").startswith(f"{host.NAME} ") for profile in profiles)
    return power_here() if mine and was_filled_here(source) else None


def _is_store(source: str) -> bool:
    from edgewise.selection.profiles import sources

    return source not in sources.published() and ("://" in source or Path(source).is_dir())


def _core(phone: _Phone | None, model: PowerModel | None) -> str:
    if phone is not None:
        return phone.core
    is_known = model is not None and model.name in powers() and model.name in machines()
    return model.name if model is not None and is_known else "reference"


def pairs(
    device: Machine, server: Machine, models: Iterable[str] | None = None
) -> list[tuple[str, Profile, Profile]]:
    """Models that both know: name, profile there and here. A model written `SMALL=LARGE` is one
    name on the device and another on the server.

    Raises:
        UsageError: a model that one of them does not know.
        InputError: they have no model in common.
    """
    here, there = device.by_key(), server.by_key()
    if models is None:
        common = [(there[name].model, here[name], there[name]) for name in here if name in there]
        if not common:
            raise InputError(
                f"the profiles of {device.name} and {server.name} have no model in common",
                hint="name two: DEVICE_MODEL=SERVER_MODEL",
            )
        return common
    found = []
    for model in models:
        local, _, remote = model.partition("=")
        found.append((model, _find(device, here, local), _find(server, there, remote or local)))
    return found


def _find(where: Machine, known: Mapping[str, Profile], model: str) -> Profile:
    if key(model) in known:
        return known[key(model)]
    names = ", ".join(profile.model for profile in known.values())
    raise UsageError(f"{where.name} has no profile of '{model}'", hint=f"it has {names}")


def key(model: str) -> str:
    """What a model's name is compared by: tables write `Mobilenet_V1_0.50_224`,
    `mobilenet_v1_0.5_224` and `mobilenet_0.50_224` for the same one."""
    words = re.findall(r"\d+\.\d+|\d+|[a-z]+", model.casefold())
    text = " ".join(f"{float(word):g}" if word[0].isdigit() else word for word in words)
    return text.replace("mobilenet v 1 ", "mobilenet ")


def method_of(profile: Profile) -> Method:
    """How a profile's times came about, seen from here."""
    return _METHODS.get(profile.origin, "profile")
