"""Many users, each behind a link of their own: who is better served where, and what that costs."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgewise.energy.radio import radio_of
from edgewise.errors import InputError, UsageError
from edgewise.network import catalogue
from edgewise.network.capacity import Floats
from edgewise.placement import battery
from edgewise.placement.model import Case, Served, cases_of, place
from edgewise.placement.sent import Sent
from edgewise.placement.sides import Machine
from edgewise.placement.wire import Lines, Usage, network_ms
from edgewise.records import LinkProfile, PlacementMix

_COLUMNS = ("rtt_ms", "uplink_mbps", "downlink_mbps")
#: A telemetry of more users is refused instead of filling the memory.
_MOST_USERS = 2_000_000
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
    """A mix from its written form: `wifi=0.6,lte=0.3,3g=0.1`, or a CSV file of telemetry with the
    columns `rtt_ms`, `uplink_mbps`, `downlink_mbps` and, if known, `link` (a name, for the radio);
    one row per user.

    Raises:
        UsageError: unknown links, or shares that do not sum to 1.
        InputError: a file that cannot be read, with line number.
    """
    if Path(spec).is_file():
        return _telemetry(Path(spec))
    if "=" not in spec:
        raise UsageError(f"no mix '{spec}'", hint="wifi=0.6,lte=0.3,3g=0.1, or a CSV file")
    shares: dict[str, float] = {}
    for part in spec.split(","):
        name, _, share = part.strip().rpartition("=")
        if name in shares:
            raise UsageError(f"the mix '{spec}' names {name} twice")
        shares[name] = _share(spec, share)
    if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        raise UsageError(f"the shares of '{spec}' sum to {sum(shares.values()):g}", hint="to 1")
    groups = tuple(_one(catalogue.link(name), share) for name, share in shares.items())
    return Mix(spec, groups)


def _share(spec: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise UsageError(f"the mix '{spec}': '{text}' is no share", hint="above 0, up to 1")
    return value


def _one(link: LinkProfile, weight: float) -> Group:
    values = (link.uplink_mbps, link.downlink_mbps, link.rtt_ms)
    up, down, rtt_ms = (np.array([value]) for value in values)
    return Group(link, Lines(up, down, rtt_ms), np.array([weight]))


def _telemetry(file: Path) -> Mix:
    by_link: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(line for line in lines if not line.startswith("#"))
            missing = set(_COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{file} lacks the column {min(missing)}")
            for count, row in enumerate(reader, 1):
                if count > _MOST_USERS:
                    raise InputError(f"{file} has more than {_MOST_USERS:,} users")
                by_link[row.get("link") or ""].append(_user(file, reader.line_num, row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} cannot be read as CSV: {error}") from error
    users = sum(map(len, by_link.values()))
    if not users:
        raise InputError(f"{file} has no user")
    groups = tuple(_users(name, rows, users) for name, rows in by_link.items())
    return Mix(file.name, groups, users)


def _user(file: Path, line: int, row: dict[str, str]) -> tuple[float, ...]:
    try:
        values = tuple(float(row[name]) for name in _COLUMNS)
    except (TypeError, ValueError):
        raise InputError(f"{file}, line {line}: a value that is no number") from None
    rtt_ms, *rates = values
    if not (0 <= rtt_ms < math.inf and all(0 < rate < math.inf for rate in rates)):
        raise InputError(f"{file}, line {line}: a rate that is not positive, or a negative time")
    return values


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
    return PlacementMix(
        model=case.model,
        device=device.name,
        server=server.name,
        mix=mix.name,
        users=mix.users,
        connection=how.connection,
        cloud_share=float(weights @ sooner),
        device_ms=device_ms,
        cloud_ms=float(weights @ cloud_ms),
        best_ms=float(weights @ np.minimum(cloud_ms, device_ms)),
        **_energy(case, mix, sent, how, utilisation),
        service_ms=served_ms,
        cores=price.cores if price else 1.0,
        utilisation=price.utilisation if price else None,
        price_per_core_hour=price.per_core_hour if price else None,
        cost_per_million=price.per_million(served_ms) if price else None,
        best_cost_per_million=price.per_million(best_ms) if price else None,
        by_link={group.link.name: float(group.weights.sum()) for group in mix.groups},
        cloud_by_link=_by_link(mix, [ms < device_ms for ms, _ in times]),
        methods={**case.methods, "cloud_share": "model", "cost_per_million": "model"},
        notes=(*_notes(case, mix), *case.notes),
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
        group.link.name: float(group.weights @ mine / group.weights.sum())
        for group, mine in zip(mix.groups, sooner, strict=True)
    }


def _energy(
    case: Case, mix: Mix, sent: Sent, usage: Usage, utilisation: float
) -> dict[str, float | None]:
    """Shares and means by the links' radios at the links' own rates: a telemetry's rates say too
    little about a radio."""
    known = [group for group in mix.groups if radio_of(group.link) is not None]
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
    joules = sum(weight * (row.cloud.energy_j or 0) for weight, row in weighed if row.cloud)
    return {
        "device_j": case.on_device.energy_j,
        "cloud_j": joules / total,
        "cloud_frugal_share": spared / total,
        "frugal_users_share": min(total, 1.0),
    }


def _notes(case: Case, mix: Mix) -> list[str]:
    notes = [battery.LEFT_OUT]
    if case.device.power is None:
        notes.append(f"energy: no power model was declared for {case.device.name}")
    if any(radio_of(group.link) is None for group in mix.groups):
        notes.append("energy: only of the users whose radio is known, at their links' own rates")
    return notes
