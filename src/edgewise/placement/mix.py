"""Many users, each behind a link of their own: who is better served where, and what that costs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgewise import delimited
from edgewise.errors import InputError, UsageError
from edgewise.network import catalogue
from edgewise.network.capacity import Floats
from edgewise.placement.model import Case, Served, cases_of, place
from edgewise.placement.sent import Sent
from edgewise.placement.sides import Machine
from edgewise.placement.wire import Lines, Usage, network_ms
from edgewise.records import LinkProfile, PlacementMix

_COLUMNS = ("rtt_ms", "uplink_mbps", "downlink_mbps")
#: A telemetry of more users is refused instead of filling the memory, and so many lines of it are
#: parsed at a time.
_MOST_USERS, _AT_ONCE = 2_000_000, 20_000
_HOUR_S = 3600.0


class Group(NamedTuple):
    """Users on one kind of link, with rates and round trips of their own, and their weights, which
    sum to 1 over all groups: shapes (n,)."""

    link: LinkProfile
    lines: Lines
    weights: Floats


@dataclass(frozen=True, eq=False)
class Mix:
    """All users. `users` counts those of a telemetry, 0 where shares were given."""

    name: str
    groups: tuple[Group, ...]
    users: int = 0


@dataclass(frozen=True)
class Price:
    """What the server costs: a core's hour, in any currency, how many cores a request occupies
    while it is served, and the fraction of the time that they are busy.

    Raises:
        UsageError: a price below zero, no cores, or a utilisation outside (0, 1].
    """

    per_core_hour: float
    cores: float = 1.0
    utilisation: float = 0.5

    def __post_init__(self) -> None:
        fine = 0 <= self.per_core_hour < math.inf and 0 < self.cores < math.inf
        if not fine or not 0 < self.utilisation <= 1:
            raise UsageError(
                f"{self.cores} cores at {self.per_core_hour} an hour, busy for {self.utilisation}",
                hint="cores above 0, a price of 0 or more, a utilisation above 0 and up to 1",
            )

    def per_million(self, service_ms: float) -> float:
        """Of a million requests: seconds × cores × price ÷ utilisation. Idle cores are paid for."""
        core_hours = 1e6 * service_ms / 1000 / _HOUR_S * self.cores
        return core_hours * self.per_core_hour / self.utilisation


def read_mix(spec: str) -> Mix:
    """A mix from its written form: `wifi=0.6,lte=0.3,3g=0.1` (or `60%`), or a CSV file of telemetry
    (`delimited` says how it may be written) with the columns `rtt_ms`, `uplink_mbps`,
    `downlink_mbps` and, if known, `link` (a name, for the radio); one row per user.

    Raises:
        UsageError: unknown links, one twice, or shares that do not sum to 1.
        InputError: a file that cannot be read, with line number.
    """
    if Path(spec).is_file():
        return _telemetry(Path(spec))
    parts = [part.rpartition("=") for part in spec.split(",")]
    if not all(equals for _, equals, _ in parts):
        raise UsageError(f"no mix '{spec}'", hint="wifi=0.6,lte=0.3,3g=0.1, or a CSV file")
    groups: dict[str, Group] = {}
    for name, _, share in parts:
        link = catalogue.link(name.strip())
        if link.name in groups:
            raise UsageError(f"the mix '{spec}' names {link.name} twice")
        groups[link.name] = _one(link, _share(spec, share.strip()))
    total = math.fsum(float(group.weights[0]) for group in groups.values())
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise UsageError(f"the shares of '{spec}' sum to {total:g}, not to 1")
    return Mix(spec, tuple(groups.values()))


def _share(spec: str, text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise UsageError(
            f"the mix '{spec}': '{text}' is no share", hint="above 0, up to 1, such as 0.6 or 60%"
        )
    return value


def _one(link: LinkProfile, weight: float) -> Group:
    values = (link.uplink_mbps, link.downlink_mbps, link.rtt_ms)
    up, down, rtt_ms = (np.array([value]) for value in values)
    return Group(link, Lines(up, down, rtt_ms), np.array([weight]))


def _telemetry(file: Path) -> Mix:
    by_link: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    links = {"": None, **{name.casefold(): name for name in catalogue.links()}}
    for users, (line, row) in enumerate(_rows(file), 1):
        if users > _MOST_USERS:
            raise InputError(f"{file} has more than {_MOST_USERS:,} users")
        name = row.get("link", "").casefold()
        if name not in links:
            known = ", ".join(catalogue.links())
            raise InputError(f"{file}, line {line}: unknown link '{row['link']}'", hint=known)
        by_link[links[name] or ""].append(_user(file, line, row))
    users = sum(map(len, by_link.values()))
    if not users:
        raise InputError(f"{file} has no user")
    groups = tuple(_users(name, rows, users) for name, rows in by_link.items())
    return Mix(file.name, groups, users)


def _rows(file: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Lines that say something, by number: a part at a time, since all as dicts are many times as
    large as the file."""
    lines = delimited.read_lines(file)
    head, lines = lines[:1], lines[1:]
    for first in range(0, max(len(lines), 1), _AT_ONCE):
        columns, rows = delimited.parse(file, head + lines[first : first + _AT_ONCE])
        names = {name.casefold(): name for name in columns}
        if missing := [name for name in _COLUMNS if name not in names]:
            raise InputError(f"{file} lacks the column {missing[0]}", hint=", ".join(_COLUMNS))
        for line, row in rows:
            if any(row.values()):
                yield line, {name: row[written] for name, written in names.items()}


def _user(file: Path, line: int, row: Mapping[str, str]) -> tuple[float, ...]:
    for name in _COLUMNS:
        if not _is_fine(row[name], zero=name == "rtt_ms"):
            what = "0 or more" if name == "rtt_ms" else "above 0"
            raise InputError(f"{file}, line {line}: {name} is '{row[name]}'", hint=what)
    return tuple(float(row[name]) for name in _COLUMNS)


def _is_fine(text: str, *, zero: bool) -> bool:
    """Whether it is a rate, or a time, which may be 0."""
    try:
        value = float(text)
    except ValueError:
        return False
    return 0 < value < math.inf or (zero and value == 0)


def _users(name: str, rows: Sequence[tuple[float, ...]], users: int) -> Group:
    rtt_ms, up, down = np.array(rows).T
    if name:
        link = catalogue.link(name)
    else:
        link = LinkProfile(
            name="telemetry", uplink_mbps=float(np.median(up)), rtt_ms=float(np.median(rtt_ms)),
            downlink_mbps=float(np.median(down)),
        )  # fmt: skip
    return Group(link, Lines(up, down, rtt_ms), np.full(len(rows), 1 / users))


def mixed(
    model: str,
    device: Machine,
    server: Machine,
    mix: Mix,
    sent: Sent,
    *,
    usage: Usage | None = None,
    utilisation: float = 0.0,
    price: Price | None = None,
) -> PlacementMix:
    """One model for all users of a mix; every user's photo is prepared where that is sooner.

    Args:
        utilisation: for the wait in the server's queue; a `price` has one of its own for cores.

    Raises:
        UsageError: an unknown model, or values that are none.
    """
    how = usage or Usage()
    (case,) = cases_of(device, server, sent, (model,), utilisation)
    device_ms = case.on_device.total_ms or 0.0
    times = [_cloud_ms(case, group, how) for group in mix.groups]
    weights = np.concatenate([group.weights for group in mix.groups])
    cloud_ms = np.concatenate([ms for ms, _ in times])
    service_ms = np.concatenate([served for _, served in times])
    sooner = cloud_ms < device_ms
    served_ms = float(weights @ service_ms)
    best_ms = float(weights @ np.where(sooner, service_ms, 0.0))
    energy = _energy(case, mix, sent, how, utilisation)
    return PlacementMix(
        model=case.model,
        device=device.name,
        server=server.name,
        mix=mix.name,
        users=mix.users,
        connection=how.connection,
        cloud_share=_rounded(float(weights @ sooner)),
        device_ms=device_ms,
        cloud_ms=float(weights @ cloud_ms),
        best_ms=float(weights @ np.minimum(cloud_ms, device_ms)),
        **energy,
        service_ms=served_ms,
        cores=price.cores if price else 1.0,
        utilisation=price.utilisation if price else None,
        price_per_core_hour=price.per_core_hour if price else None,
        cost_per_million=price.per_million(served_ms) if price else None,
        best_cost_per_million=price.per_million(best_ms) if price else None,
        by_link={group.link.name: _rounded(float(group.weights.sum())) for group in mix.groups},
        cloud_by_link=_by_link(mix, [ms < device_ms for ms, _ in times]),
        methods={**case.methods, "cloud_share": "model", "cost_per_million": "model"},
        notes=(*_notes(case, mix), *_alone(energy, how), *case.notes),
    )


def _cloud_ms(case: Case, group: Group, usage: Usage) -> tuple[Floats, Floats]:
    """What the cloud's way takes each user, and its worker; shapes (n,)."""
    answers = np.stack([_answer_ms(way, group, usage) for way in case.ways])
    chosen = answers.argmin(axis=0)
    served = np.array([way.server_ms for way in case.ways])
    return answers.min(axis=0), served[chosen]


def _answer_ms(way: Served, group: Group, usage: Usage) -> Floats:
    sizes = way.exchange.payload_bytes, way.exchange.reply_bytes
    return way.elsewhere_ms + network_ms(group.link, group.lines, *sizes, usage)


def _by_link(
    mix: Mix, sooner: Sequence[np.ndarray[tuple[int], np.dtype[np.bool_]]]
) -> dict[str, float]:
    return {
        group.link.name: _rounded(float(group.weights @ mine / group.weights.sum()))
        for group, mine in zip(mix.groups, sooner, strict=True)
    }


def _energy(
    case: Case, mix: Mix, sent: Sent, usage: Usage, utilisation: float
) -> dict[str, float | None]:
    """Shares and means by the links' radios at the links' own rates: a telemetry's rates say too
    little about a radio."""
    known = [group for group in mix.groups if group.link.radio is not None]
    rows = [
        place(
            case.model, case.device, case.server, group.link, sent,
            usage=usage, utilisation=utilisation,
        )
        for group in known
    ]  # fmt: skip
    weighed = [
        (float(group.weights.sum()), row)
        for group, row in zip(known, rows, strict=True)
        if row.frugal is not None
    ]
    total = sum(weight for weight, _ in weighed)
    if not total:
        return {"device_j": case.on_device.energy_j, "frugal_users_share": 0.0}
    spared = sum(weight for weight, row in weighed if row.frugal == "cloud")
    spared_alone = sum(weight for weight, row in weighed if row.single_frugal == "cloud")
    both = [(weight, row.cloud) for weight, row in weighed if row.cloud is not None]
    return {
        "device_j": case.on_device.energy_j,
        "cloud_j": sum(weight * (cloud.energy_j or 0) for weight, cloud in both) / total,
        "single_cloud_j": sum(w * (cloud.single_energy_j or 0) for w, cloud in both) / total,
        "cloud_frugal_share": spared / total,
        "single_cloud_frugal_share": spared_alone / total,
        "frugal_users_share": _rounded(total),
    }


def _rounded(share: float) -> float:
    """Shares that were summed: 0.9, not 0.8999999999999999, and never above 1."""
    return round(share, 12)


def _alone(energy: dict[str, float | None], usage: Usage) -> Iterator[str]:
    """One request pays a whole tail of the radio: what holds of a run may not hold of it."""
    run, alone = energy.get("cloud_frugal_share"), energy.get("single_cloud_frugal_share")
    if run is not None and alone is not None and run != alone:
        yield (
            f"energy: in a run of {usage.requests} requests the cloud spares the battery of "
            f"{run:.0%} of the users whose radio is known, of one request alone of {alone:.0%}"
        )


def _notes(case: Case, mix: Mix) -> list[str]:
    notes = [case.computing.boundary, *case.computing.notes(case.device.name)]
    if any(group.link.radio is None for group in mix.groups):
        notes.append("energy: only of the users whose radio is known, at their links' own rates")
    return notes
