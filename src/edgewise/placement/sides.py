"""The two sides of a computed comparison: machines with the profiles of models on them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath
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
    then. `costs` are those of its cores, for preprocessing. `input_sizes` maps the hash of
    a model's file to the height and width of the images that it takes, where that is known, `said`
    a model's name to what was chosen of a store for it and left out. `whole_phone` as in
    `energy.computing.Computing`.
    """

    name: str
    profiles: Sequence[Profile]
    costs: Costs = field(default_factory=costs)
    power: PowerModel | None = None
    threads: int = 1
    input_sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    whole_phone: bool = False
    said: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def find(self, model: str) -> Profile:
        """The profile of a model: by its very name, else by what that has in common with it.

        Raises:
            UsageError: there is none, or there are several.
        """
        exact = [one for one in self.profiles if one.model == model]
        found = exact or [one for one in self.profiles if key(one.model) == key(model)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(one.model for one in found or self.profiles)
        if found:
            raise UsageError(
                f"{self.name} has {len(found)} profiles of '{model}'", hint=f"name one: {names}"
            )
        raise UsageError(f"{self.name} has no profile of '{model}'", hint=f"it has {names}")

    def like(self, other: Profile, others: Sequence[Profile]) -> Profile | None:
        """The profile of what another machine calls so: the same content, else the one with that
        name whose content is none of the `others`; None: there is none, or several."""
        if other.sha256 is not None:
            for one in self.profiles:
                if one.sha256 == other.sha256:
                    return one
        known = {each.sha256 for each in others} - {None}
        found = [
            one
            for one in self.profiles
            if key(one.model) == key(other.model) and one.sha256 not in known
        ]
        return found[0] if len(found) == 1 else None


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
    found = _profiles(source, which)
    profiles = [profile for profile, _ in found]
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
        said={profile.model: said for profile, said in found},
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


def _profiles(source: str, which: Wanted | None) -> list[tuple[Profile, tuple[str, ...]]]:
    """Times are enough here: models of a store count even where nobody measured their accuracy.
    With what was chosen of a store, and left out, for each."""
    from edgewise.selection.profiles import sources, stored

    if _is_store(source):
        return stored.times_with_notes(source, which or Wanted())
    return [(profile, ()) for profile in sources.load(source).table.profiles]


def _power_of(source: str, profiles: Sequence[Profile]) -> str | None:
    """The power of this machine, for what it measured itself."""
    mine = all((profile.source or "").startswith(f"{host.NAME} ") for profile in profiles)
    return power_here() if mine and was_filled_here(source) else None


def _is_store(source: str) -> bool:
    from edgewise.selection.profiles import sources

    return sources.is_store(source)


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
    if models is None:
        common = [
            (there.model, here, there)
            for here in device.profiles
            if (there := server.like(here, device.profiles)) is not None
        ]
        if not common:
            raise InputError(
                f"the profiles of {device.name} and {server.name} have no model in common",
                hint="name two: DEVICE_MODEL=SERVER_MODEL",
            )
        return common
    found = []
    for model in models:
        local, _, remote = model.partition("=")
        here = device.find(local)
        there = (None if remote else server.like(here, device.profiles)) or server.find(
            remote or local
        )
        found.append((model, here, there))
    return found


@lru_cache(maxsize=4096)
def key(model: str) -> str:
    """What a model's name is compared by: tables write `Mobilenet_V1_0.50_224`,
    `mobilenet_v1_0.5_224` and `mobilenet_0.50_224` for the same one."""
    words = re.findall(r"\d+\.\d+|\d+|[a-z]+", model.casefold())
    text = " ".join(f"{float(word):g}" if word[0].isdigit() else word for word in words)
    return text.replace("mobilenet v 1 ", "mobilenet ")


def method_of(profile: Profile) -> Method:
    """How a profile's times came about, seen from here."""
    return _METHODS.get(profile.origin, "profile")
