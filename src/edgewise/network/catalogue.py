"""Networks by the name that options use: links, published pairs, and files of users."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path as File

import msgspec

from edgewise.errors import InputError, UsageError
from edgewise.network.capacity import Capacity
from edgewise.network.link import WARM, Connection, Network, Pair, Path, path
from edgewise.network.traces import read_trace, split_spec
from edgewise.records import LinkProfile

_DATA = File(__file__).parent / "data"
#: What a link's `radio` is where it has none: a wired one.
WIRED = "none"


@dataclass(frozen=True)
class Carried:
    """What travels over a link or a trace, and the delay that a trace does not record."""

    payload_bytes: float = 100_000
    reply_bytes: float = 1_000
    rtt_ms: float = 60.0
    jitter_ms: float = 0.0
    connection: Connection = WARM


@cache
def links() -> dict[str, LinkProfile]:
    """The links that come with the package, by name."""
    return _read_links(_DATA / "links.toml")


@cache
def pairs() -> dict[str, Pair]:
    """The published pairs of mean and deviation, by name."""
    return {
        row["network"]: Pair(
            row["network"], float(row["one_way_mean_ms"]), float(row["one_way_std_ms"])
        )
        for row in _table("networks.csv")
    }


def describe_pair(pair: Pair) -> dict[str, object]:
    """A published pair as `edgewise links --json` shows it."""
    return {
        "name": pair.name,
        "one_way_mean_ms": pair.mean_ms,
        "one_way_std_ms": pair.std_ms,
        "source": "public simulator of MDInference (IC2E 2020)",
    }


@cache
def radios() -> dict[str, dict[str, float | None]]:
    """Rows of the radio energy table, by name; None where a value is not known."""
    return {
        row["radio"]: {
            key: float(value) if value else None
            for key, value in row.items()
            if key not in ("radio", "confidence")
        }
        for row in _table("radio.csv")
    }


def kinds_of_radio() -> tuple[str, ...]:
    """What a link's `radio` may be: a row of the table, or `none` of a wired one."""
    return (*radios(), WIRED)


def resolve(spec: str, carried: Carried | None = None) -> Network:
    """A network from its written form.

    `NAME` of a pair or a link (`link:NAME` where a pair has the same name), `MEAN,STD` in ms one
    way, a TOML file of links (`FILE.toml:NAME` of several), a trace for both directions, or
    `UPLINK_TRACE,DOWNLINK_TRACE`.

    Raises:
        UsageError: an unknown name.
        InputError: a file that cannot be read.
    """
    size = carried or Carried()
    if spec in pairs():
        return pairs()[spec]
    name = spec.removeprefix("link:")
    if name in links():
        return path(links()[name], size.payload_bytes, size.reply_bytes, size.connection)
    first, _, second = spec.partition(",")
    numbers = _two_numbers(first, second)
    if numbers is not None:
        return Pair(spec, *numbers)
    file, words = split_spec(first)
    if file.suffix == ".toml":
        return path(_user_link(file, words), size.payload_bytes, size.reply_bytes, size.connection)
    if file.is_file():
        return _traced(spec, first, second or first, size)
    raise UsageError(
        f"unknown network '{spec}'",
        hint=f"known: {', '.join([*pairs(), *(k for k in links() if k not in pairs())])}; "
        "or MEAN,STD; or a file",
    )


def link(spec: str) -> LinkProfile:
    """A link by name or from a TOML file (`FILE.toml:NAME`).

    Raises:
        UsageError: an unknown name.
        InputError: a file that cannot be read.
    """
    name = spec.removeprefix("link:")
    if name in links():
        return links()[name]
    file, words = split_spec(spec)
    if file.suffix == ".toml":
        return _user_link(file, words)
    raise UsageError(f"unknown link '{spec}'", hint=f"known: {', '.join(links())}; or FILE.toml")


def read_links(file: File) -> dict[str, LinkProfile]:
    """Links of a user's TOML file, in the layout of the package's own.

    Raises:
        InputError: not TOML, an unknown key, a value that is no rate or time, a name twice.
    """
    return _read_links(file)


def _user_link(file: File, words: tuple[str, ...]) -> LinkProfile:
    known = _read_links(file)
    if not words and len(known) == 1:
        return next(iter(known.values()))
    if len(words) == 1 and words[0] in known:
        return known[words[0]]
    raise UsageError(f"{file} has the links {', '.join(known)}", hint=f"name one: {file}:NAME")


def _traced(spec: str, uplink: str, downlink: str, size: Carried) -> Path:
    up: Capacity = read_trace(*split_spec(uplink))
    down = up if uplink == downlink else read_trace(*split_spec(downlink))
    return Path(
        name=spec,
        uplink=up,
        downlink=down,
        rtt_ms=size.rtt_ms,
        jitter_ms=size.jitter_ms,
        promotion_ms=0.0,
        tail_ms=0.0,
        payload_bytes=size.payload_bytes,
        reply_bytes=size.reply_bytes,
        connection=size.connection,
    )


def _two_numbers(first: str, second: str) -> tuple[float, float] | None:
    try:
        return float(first), float(second)
    except ValueError:
        return None


def _table(name: str) -> Iterable[dict[str, str]]:
    lines = (_DATA / name).read_text(encoding="utf-8").splitlines()
    return csv.DictReader(line for line in lines if not line.startswith("#"))


class _File(msgspec.Struct, forbid_unknown_fields=True):
    link: list[dict[str, object]]


def _read_links(file: File) -> dict[str, LinkProfile]:
    try:
        content = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8-sig")), _File)
        found = [_link(values) for values in content.link]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the links {file} cannot be read: {error}") from error
    except msgspec.ValidationError as error:
        raise InputError(f"the links {file}: {error}") from error
    for one in found:
        _check(file, one)
    by_name = {one.name: one for one in found}
    if len(by_name) < len(found):
        raise InputError(f"the links {file}: a name is used twice")
    return by_name


def _link(values: dict[str, object]) -> LinkProfile:
    if unknown := values.keys() - set(LinkProfile.__struct_fields__):
        raise msgspec.ValidationError(f"unknown key '{min(unknown)}'")
    radio = radios().get(str(values.get("radio")), {})
    known = {key: radio[key] for key in ("promotion_ms", "tail_ms") if radio.get(key) is not None}
    return msgspec.convert({**known, **values}, LinkProfile)


def _check(file: File, one: LinkProfile) -> None:
    if not (0 < one.uplink_mbps < float("inf") and 0 < one.downlink_mbps < float("inf")):
        raise InputError(f"the links {file}: '{one.name}' has a rate that is not positive")
    times = (one.rtt_ms, one.jitter_ms, one.promotion_ms, one.tail_ms)
    if not all(0 <= time < float("inf") for time in times):
        raise InputError(f"the links {file}: '{one.name}' has a time that is negative")
    if one.radio not in (None, *kinds_of_radio()):
        raise InputError(
            f"the links {file}: '{one.name}' names the radio '{one.radio}'",
            hint=f"known: {', '.join(kinds_of_radio())}",
        )
