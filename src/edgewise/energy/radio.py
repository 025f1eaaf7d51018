"""Energy of a phone's radio: promotion, transfer, waiting, tail.

The model of Huang et al. (MobiSys 2012), with the rows of `network/data/radio.csv`:

- a radio that slept is promoted: `promotion_ms` at `promotion_mw`;
- while bytes pass it takes `slope · Mbps + base_mw`, over a whole transfer `slope · Mbit +
  base_mw · duration`. The rows are lines that were fitted up to some rate: beyond that range,
  which `energy/data/radio_limits.toml` states, it takes no more than at its end or, where that is
  more, than a maker states (unless that is wished otherwise);
- the rest of a request (round trips, the server's work) it is awake without data, and after the
  last byte for `tail_ms` more: both at `tail_mw`.

Requests in a row share a tail: the next one cuts it short. The screen, and the phone's power when
it does nothing, are left out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, Self

import msgspec

from edgewise.errors import UsageError
from edgewise.network.catalogue import WIRED, radios
from edgewise.records import LinkProfile

RadioState = Literal["active", "idle"]
_LIMITS = Path(__file__).parent / "data" / "radio_limits.toml"


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a row reaches: the highest rates that it was fitted at, and the most that a maker
    states of such a radio in mW (None: not known)."""

    radio: str
    fitted_up_mbps: float
    fitted_down_mbps: float
    source: str
    transfer_max_mw: float | None = None


@dataclass(frozen=True)
class Radio:
    """A row of the radio table; None where nobody published a value. Powers in mW. `limit` says how
    far it reaches."""

    name: str
    uplink_mw_per_mbps: float
    downlink_mw_per_mbps: float
    base_mw: float
    promotion_ms: float | None = None
    promotion_mw: float | None = None
    tail_ms: float | None = None
    tail_mw: float | None = None
    limit: Limit | None = None

    @classmethod
    def of(cls, name: str, row: Mapping[str, float | None]) -> Self:
        """From a row of the table."""
        return msgspec.convert({**row, "name": name, "limit": limits().get(name)}, cls)

    def sending_mw(self, mbps: float, *, capped: bool = True) -> float:
        """Power while it sends at a rate."""
        reach = self.limit.fitted_up_mbps if self.limit and capped else None
        return self._power_mw(self.uplink_mw_per_mbps, mbps, reach)

    def receiving_mw(self, mbps: float, *, capped: bool = True) -> float:
        """Power while it receives at a rate."""
        reach = self.limit.fitted_down_mbps if self.limit and capped else None
        return self._power_mw(self.downlink_mw_per_mbps, mbps, reach)

    def _power_mw(self, mw_per_mbps: float, mbps: float, reach_mbps: float | None) -> float:
        """By the row; beyond its reach what it says there, or a maker where that is more."""
        by_row_mw = mw_per_mbps * mbps + self.base_mw
        if reach_mbps is None or self.limit is None:
            return by_row_mw
        at_end_mw = mw_per_mbps * reach_mbps + self.base_mw
        return min(by_row_mw, max(at_end_mw, self.limit.transfer_max_mw or 0.0))

    def missing(self) -> tuple[str, ...]:
        """Values without which a request's energy is not known."""
        needed = ("promotion_ms", "promotion_mw", "tail_ms", "tail_mw")
        return tuple(name for name in needed if getattr(self, name) is None)


class RadioEnergy(NamedTuple):
    """Joules of one request, the mean of its run; None where the radio's row lacks a value."""

    promotion_j: float | None
    transfer_j: float
    waiting_j: float | None
    tail_j: float | None

    @property
    def total_j(self) -> float | None:
        """The sum; None where a part is not known."""
        parts = (self.promotion_j, self.transfer_j, self.waiting_j, self.tail_j)
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None


#: A wired link costs no radio any energy.
NO_RADIO = RadioEnergy(0.0, 0.0, 0.0, 0.0)


@cache
def limits() -> dict[str, Limit]:
    """How far the rows of the radio table reach, by their name."""
    found = tomllib.loads(_LIMITS.read_text(encoding="utf-8"))["limit"]
    return {each.radio: each for each in msgspec.convert(found, list[Limit])}


def radio(name: str) -> Radio:
    """A radio of the table.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in radios():
        raise UsageError(f"unknown radio '{name}'", hint=f"known: {', '.join(radios())}")
    return Radio.of(name, radios()[name])


def radio_of(link: LinkProfile) -> Radio | None:
    """The radio of a link, with the link's own promotion and tail times where its row has none;
    None: it is wired, or not known (`link.radio` tells)."""
    if link.radio in (None, WIRED):
        return None
    row = dict(radios()[str(link.radio)])
    for name in ("promotion_ms", "tail_ms"):
        row[name] = getattr(link, name) or row[name]
    return Radio.of(str(link.radio), row)


def transfer_energy(
    of: Radio,
    *,
    payload_bytes: float,
    reply_bytes: float,
    uplink_mbps: float,
    downlink_mbps: float,
    busy_ms: float,
    state: RadioState = "idle",
    requests: int = 1,
    gap_ms: float = 0.0,
    capped: bool = True,
) -> RadioEnergy:
    """Energy of one request, the mean of a run of them.

    Args:
        busy_ms: from the first byte sent to the last byte received, the promotion not counted; it
            is at least what the bytes need at the link's rates.
        state: how the run's first request finds the radio.
        requests: how many follow each other, and
        gap_ms: the silence between one's last byte and the next one's first.
        capped: while bytes pass, no more power than within the range of the radio's row.

    Raises:
        UsageError: a run without a request, a gap below zero, or a rate that is not positive.
    """
    if requests < 1 or gap_ms < 0 or min(uplink_mbps, downlink_mbps) <= 0:
        raise UsageError(
            f"{requests} requests, {gap_ms} ms apart, at {uplink_mbps} and {downlink_mbps} Mbps",
            hint="one request or more, a gap of zero or more, rates above zero",
        )
    up_mbit, down_mbit = payload_bytes * 8e-6, reply_bytes * 8e-6
    sending_ms = 1000 * (up_mbit / uplink_mbps + down_mbit / downlink_mbps)
    sending_j = of.sending_mw(uplink_mbps, capped=capped) * up_mbit / uplink_mbps / 1e3
    receiving_j = of.receiving_mw(downlink_mbps, capped=capped) * down_mbit / downlink_mbps / 1e3
    return RadioEnergy(
        _promotion_j(of, state, requests, gap_ms),
        sending_j + receiving_j,
        _joules(of.tail_mw, max(busy_ms - sending_ms, 0.0)),
        _tail_j(of, requests, gap_ms),
    )


def _promotion_j(of: Radio, state: RadioState, requests: int, gap_ms: float) -> float | None:
    if of.tail_ms is None:
        return None
    later = requests - 1 if gap_ms > of.tail_ms else 0
    promotions = later + (state == "idle")
    each_j = _joules(of.promotion_mw, of.promotion_ms)
    return 0.0 if not promotions else None if each_j is None else each_j * promotions / requests


def _tail_j(of: Radio, requests: int, gap_ms: float) -> float | None:
    """The last request's tail is whole, the others' end when the next one begins."""
    if of.tail_ms is None:
        return None
    tails_ms = of.tail_ms + (requests - 1) * min(gap_ms, of.tail_ms)
    return _joules(of.tail_mw, tails_ms / requests)


def _joules(power_mw: float | None, time_ms: float | None) -> float | None:
    return None if power_mw is None or time_ms is None else power_mw * time_ms / 1e6
