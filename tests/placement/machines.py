"""Machines and rows for tests."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from edgewise.energy.power import power
from edgewise.network.catalogue import links
from edgewise.placement.preprocess import costs, photo
from edgewise.placement.sent import Sent
from edgewise.placement.sides import Machine
from edgewise.records import LinkProfile, Profile

#: A photo as a phone's camera makes it, and a model's input as it is.
PHOTO = Sent(photo=photo(4032, 3024, 3_000_000))
TENSOR = Sent(payload_bytes=100_000)


def phone(**more: Any) -> Machine:
    """It needs 400 ms for the model and 900 ms to load it."""
    profile = Profile(model="Net_V1_1.0", accuracy=70.0, mean_ms=400.0, std_ms=20.0, cold_ms=1300.0)
    given: dict[str, Any] = {
        "name": "phone", "profiles": [profile], "costs": costs(3.0), "power": power("nexus-5"),
        "threads": 2,
    }  # fmt: skip
    return Machine(**given | more)


def cloud(mean_ms: float = 10.0, std_ms: float = 1.0, name: str = "server") -> Machine:
    """A server that is forty times as fast."""
    profile = Profile(
        model="net_v1_1", accuracy=70.0, mean_ms=mean_ms, std_ms=std_ms, origin="published"
    )
    return Machine(name, [profile])


def link(name: str = "lte", **changes: Any) -> LinkProfile:
    """One of the package's links, with changes."""
    return replace(links()[name], **changes)
