"""From phases to a decision: sums, who is faster, who spares the battery.

The same for what was computed and for what was measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from edgewise.placement.words import verdict
from edgewise.records import CloudPhases, DevicePhases, Placement, Way


def summed_device(phases: DevicePhases) -> DevicePhases:
    """With its totals; None where a phase is not known."""
    total_ms = _sum((phases.preprocess_ms, phases.inference_ms, phases.postprocess_ms))
    return replace(phases, total_ms=total_ms, first_total_ms=_sum((total_ms, phases.load_ms)))


def summed_cloud(phases: CloudPhases) -> CloudPhases:
    """With its totals; None where a phase is not known."""
    total_ms = _sum(
        (
            phases.preprocess_ms, phases.encode_ms, phases.upload_ms, phases.queue_ms,
            phases.inference_ms, phases.download_ms, phases.postprocess_ms,
        )
    )  # fmt: skip
    return replace(phases, total_ms=total_ms, first_total_ms=_sum((total_ms, phases.connect_ms)))


class Counted(NamedTuple):
    """The times that a row compares, in ms; None: not known."""

    device_ms: float | None
    cloud_ms: float | None


def counted(placement: Placement) -> Counted:
    """What each way takes of a request of this row (see `Placement`)."""
    on_device, cloud = placement.on_device, placement.cloud
    fresh = placement.connection == "fresh"
    return Counted(
        on_device.total_ms if on_device else None,
        None if cloud is None else cloud.first_total_ms if fresh else cloud.total_ms,
    )


def decided(placement: Placement) -> Placement:
    """The row with winners, ratios and the verdict in words."""
    on_device = placement.on_device or DevicePhases()
    cloud = placement.cloud or CloudPhases()
    times = counted(placement)
    row = replace(
        placement,
        faster=lower(*times),
        time_ratio=_ratio(*times),
        first_faster=lower(on_device.first_total_ms, cloud.first_total_ms),
        first_time_ratio=_ratio(on_device.first_total_ms, cloud.first_total_ms),
        frugal=lower(on_device.energy_j, cloud.energy_j),
        energy_ratio=_ratio(on_device.energy_j, cloud.energy_j),
        single_frugal=lower(on_device.energy_j, cloud.single_energy_j),
        single_energy_ratio=_ratio(on_device.energy_j, cloud.single_energy_j),
        first_energy_ratio=_ratio(on_device.first_energy_j, cloud.first_energy_j),
    )
    return replace(row, verdict=verdict(row))


def lower(device: float | None, cloud: float | None) -> Way | None:
    """The way with the smaller value; the device where they are equal, None where one is not
    known."""
    if device is None or cloud is None:
        return None
    return "device" if device <= cloud else "cloud"


def _ratio(device: float | None, cloud: float | None) -> float | None:
    return device / cloud if device is not None and cloud else None


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
