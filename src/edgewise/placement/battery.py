"""The device's energy of both ways: compute by a meter or a declared power, radio by the link's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from edgewise.energy.computing import Computing
from edgewise.energy.radio import NO_RADIO, Radio, RadioState, radio_of, transfer_energy
from edgewise.placement.wire import Usage
from edgewise.records import CloudPhases, DevicePhases, LinkProfile


class Work(NamedTuple):
    """What of the cloud's way costs the device energy.

    `own_ms` it computes itself (prepares, encodes, reads the answer); `later_ms` and `first_ms`
    its radio is awake for a later and for a first request, promotions not counted. `all_asleep`:
    the silence between requests is long enough for the radio to fall asleep.
    """

    payload_bytes: float
    reply_bytes: float
    own_ms: float
    later_ms: float
    first_ms: float
    all_asleep: bool = False


def on_device(phases: DevicePhases, how: Computing, threads: int) -> DevicePhases:
    """With its energy: inference on so many cores, everything else on one."""
    if phases.total_ms is None:
        return phases
    inference_ms = phases.inference_ms or 0.0
    energy_j = _sum(how.inference_j(inference_ms, threads), phases.total_ms - inference_ms, how)
    if energy_j is None:
        return phases
    energy_j += how.anyway_j(phases.total_ms)
    if phases.load_ms is None:
        return replace(phases, energy_j=energy_j)
    first_j = _sum(energy_j + how.anyway_j(phases.load_ms), phases.load_ms, how)
    return replace(phases, energy_j=energy_j, first_energy_j=first_j)


def _sum(joules: float | None, other_ms: float, how: Computing) -> float | None:
    """With what it computes beside that for so long."""
    other_j = how.other_j(other_ms)
    return None if joules is None or other_j is None else joules + other_j


def in_cloud(
    phases: CloudPhases, work: Work, how: Computing, link: LinkProfile, usage: Usage
) -> CloudPhases:
    """With its energy, where the radio's row and what computing takes are known."""
    busy_ms = work.first_ms if usage.connection == "fresh" else work.later_ms
    radio_j = _radio_j(link, work, busy_ms, usage)
    alone: RadioState = "idle" if work.all_asleep else usage.radio
    by_itself = Usage(usage.connection, alone, requests=1, capped=usage.capped)
    first_radio_j = _radio_j(link, work, work.first_ms, by_itself)
    single_radio_j = _radio_j(link, work, busy_ms, by_itself)
    compute_j = how.other_j(work.own_ms)
    if compute_j is None:
        return replace(phases, radio_j=radio_j)
    first_base_j = how.anyway_j(phases.first_total_ms or 0.0)
    is_fresh = usage.connection == "fresh"
    base_j = first_base_j if is_fresh else how.anyway_j(phases.total_ms or 0.0)
    return replace(
        phases,
        radio_j=radio_j,
        compute_j=compute_j,
        base_j=base_j if how.whole_phone else None,
        energy_j=None if radio_j is None else radio_j + compute_j + base_j,
        single_energy_j=None if single_radio_j is None else single_radio_j + compute_j + base_j,
        first_energy_j=None if first_radio_j is None else first_radio_j + compute_j + first_base_j,
    )


def notes(
    link: LinkProfile, how: Computing, device: str, *, capped: bool = True
) -> tuple[str, ...]:
    """What an energy leaves out, and why one is missing."""
    said = [how.boundary, *how.notes(device)]
    radio = radio_of(link)
    if link.radio is None:
        said.append(
            f"energy: which radio {link.name} has is not known, and so no energy of the cloud's "
            'way; a link in a TOML file says radio = "…", or "none" for a wired one'
        )
    elif radio is None:
        said.append(f"energy: {link.name} has no radio; a wired interface's power is left out")
    elif missing := radio.missing():
        said.append(f"energy: the radio table's row {radio.name} lacks {', '.join(missing)}")
    else:
        said += _beyond(radio, link, capped=capped)
    return tuple(said)


def _beyond(radio: Radio, link: LinkProfile, *, capped: bool) -> Iterator[str]:
    """What is said of a link that is faster than its radio's row reaches."""
    limit = radio.limit
    if limit is None:
        return
    for mbps, reach_mbps, power_mw, way in (
        (link.uplink_mbps, limit.fitted_up_mbps, radio.sending_mw, "up"),
        (link.downlink_mbps, limit.fitted_down_mbps, radio.receiving_mw, "down"),
    ):
        by_row_mw, at_most_mw = power_mw(mbps, capped=False), power_mw(mbps, capped=True)
        if by_row_mw <= at_most_mw:
            continue
        is_stated = at_most_mw == limit.transfer_max_mw
        states = "a maker states at most" if is_stated else "at the end of that range it says"
        counted = "counted here" if capped else "not counted: --no-cap-radio"
        yield (
            f"energy: at {mbps:g} Mbps {way} {radio.name} would take {by_row_mw / 1e3:.2g} W by "
            f"its row, which was fitted up to {reach_mbps:g} Mbps; {states} "
            f"{at_most_mw / 1e3:.2g} W, {counted}"
        )


def _radio_j(link: LinkProfile, work: Work, busy_ms: float, usage: Usage) -> float | None:
    if link.radio is None:
        return None
    radio = radio_of(link)
    if radio is None:
        return NO_RADIO.total_j
    return transfer_energy(
        radio,
        payload_bytes=work.payload_bytes,
        reply_bytes=work.reply_bytes,
        uplink_mbps=link.uplink_mbps,
        downlink_mbps=link.downlink_mbps,
        busy_ms=busy_ms,
        state=usage.radio,
        requests=usage.requests,
        gap_ms=usage.gap_ms,
        capped=usage.capped,
    ).total_j
