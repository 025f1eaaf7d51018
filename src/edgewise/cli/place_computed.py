"""`place --profiles`: what is asked, from options to the records of `placement.model`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgewise.errors import UsageError

if TYPE_CHECKING:
    from edgewise.placement.sent import Sent
    from edgewise.placement.sides import Machine
    from edgewise.placement.wire import Usage
    from edgewise.records import Placement, PlacementMix, Way
    from edgewise.selection.profiles.targets import Wanted

_PHOTO = re.compile(r"(\d+)x(\d+)(?:,(\d+))?", re.I)
_SIZE = re.compile(r"(\d+)x(\d+)", re.I)
#: What a request is about where the user does not tell.
PHOTO = "4032x3024"
#: A model's input where neither the user nor the store tells.
_ASSUMED = "224x224"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options that a table and a mix share; see `place`."""

    models: tuple[str, ...]
    profiles: tuple[str, ...]
    device: str | None
    which: Wanted
    server: str
    server_which: Wanted
    links: tuple[str, ...]
    usages: tuple[Usage, ...]
    sent: Sent
    power: str | None
    whole_phone: bool
    slowdown: float | None
    threads: int | None
    utilisation: float

    def devices(self) -> list[Machine]:
        """A machine for each source of profiles.

        Raises:
            UsageError, InputError: a source, a power model or a name is none.
        """
        from edgewise.placement.sides import machine

        if self.device is not None and len(self.profiles) > 1:
            raise UsageError(f"--device {self.device} names one of {len(self.profiles)} devices")
        return [
            machine(
                source, name=self.device, which=replace(self.which, device=self.device),
                power_model=self.power, slowdown=self.slowdown, threads=self.threads,
                whole_phone=self.whole_phone,
            )
            for source in self.profiles
        ]  # fmt: skip

    def there(self) -> Machine:
        """The server: profiles of its own, or another device of the same store.

        Raises:
            UsageError, InputError: as `devices`.
        """
        from edgewise.placement.sides import machine, measured_devices

        if self.server == "local":
            raise UsageError(
                "with --profiles the server has profiles too",
                hint="--server p2, a CSV, a store, or another device of the same store",
            )
        for source in self.profiles:
            if self.server in measured_devices(source):
                which = replace(self.server_which, device=self.server)
                return machine(source, name=self.server, which=which)
        return machine(self.server, which=self.server_which)


def sent(
    photo: str,
    payload: float | None,
    reply: float,
    input_size: str | None,
    prepared_by: Way | None,
) -> Sent:
    """What a request is about.

    Raises:
        UsageError: a size that is none.
    """
    from edgewise.placement import preprocess
    from edgewise.placement.sent import Sent

    found, size = _PHOTO.fullmatch(photo), _SIZE.fullmatch(input_size or _ASSUMED)
    if size is None:
        raise UsageError(f"--input-size {input_size}", hint="such as 224x224")
    height, width = int(size[1]), int(size[2])
    if payload is not None:
        return Sent(payload_bytes=payload, reply_bytes=reply, input_size=(height, width))
    if found is None:
        raise UsageError(f"--photo {photo}", hint="such as 4032x3024, or 4032x3024,3000000 (bytes)")
    return Sent(
        photo=preprocess.photo(int(found[1]), int(found[2]), float(found[3]) if found[3] else None),
        reply_bytes=reply,
        input_size=(height, width),
        prepared_by=prepared_by,
        size_assumed=input_size is None,
        photo_assumed=photo == PHOTO,
    )


def rows(of: Asked) -> list[Placement]:
    """Models × devices × links, computed.

    Raises:
        UsageError, InputError: something named is none.
    """
    from edgewise.network import catalogue
    from edgewise.placement.model import table

    if of.links == ("direct",):
        raise UsageError("--profiles without a --link", hint="--link wifi,lte,3g")
    return table(
        of.devices(), [of.there()], [catalogue.link(name) for name in of.links], of.sent,
        models=of.models or None, usages=of.usages, utilisation=of.utilisation,
    )  # fmt: skip


def mixed(of: Asked, spec: str, price: float | None, cores: float) -> list[PlacementMix]:
    """Each model for all users of a mix.

    Raises:
        UsageError, InputError: something named is none.
    """
    from edgewise.placement import mix
    from edgewise.placement.sides import pairs

    there, users = of.there(), mix.read_mix(spec)
    busy = {"utilisation": of.utilisation} if of.utilisation else {}
    cost = None if price is None else mix.Price(price, cores, **busy)
    return [
        mix.mixed(
            model, device, there, users, of.sent,
            usage=usage, utilisation=of.utilisation, price=cost,
        )
        for device in of.devices()
        for model in of.models or [name for name, _, _ in pairs(device, there)]
        for usage in of.usages
    ]  # fmt: skip
