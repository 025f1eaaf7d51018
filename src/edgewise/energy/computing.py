"""Energy of a device's computing: by a meter's word where there is one, else by a declared model.

A meter's joules (`records.Energy`, in a store's measurements) are gross: of all that is inside the
measured boundary. What the device takes anyway is left out here, as it is of declared powers, so
idle power × time is taken off where the meter saw it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from edgewise.energy.power import PowerModel, compute_energy
from edgewise.errors import UsageError
from edgewise.records import Energy

LEFT_OUT = "energy: the screen, memory and the device's idle power are left out"


class Metered(NamedTuple):
    """What a meter says of one model on one device: J of an inference, the power meanwhile in W
    (None: without a time there is none), and by which method. `net`: above idle."""

    inference_j: float
    busy_w: float | None
    method: str
    net: bool


def metered(energy: Energy | None, inference_ms: float) -> Metered | None:
    """A measurement's energy, for an inference that took so long there.

    None: nobody measured it, or idle power would have taken more, so that it is lost in the noise.
    """
    if energy is None or energy.inference_j is None:  # a power model's joules are not metered
        return None
    joules = energy.inference_j
    if energy.net_inference_j is not None:
        joules = energy.net_inference_j
    elif energy.idle_w is not None:
        joules -= energy.idle_w * inference_ms / 1e3
    if not 0 < joules < math.inf:
        return None
    busy_w = joules / inference_ms * 1e3 if inference_ms > 0 else None
    return Metered(joules, busy_w, energy.method, energy.idle_w is not None)


@dataclass(frozen=True)
class Computing:
    """How a device's computing becomes joules. A meter beats a model; what no meter was asked about
    (loading, preparing) counts at the declared power, and without one at the metered one.

    `whole_phone`: what the device takes anyway, its screen with it, counts over the whole answer.

    Raises:
        UsageError: the whole phone, whose power nobody declared.
    """

    power: PowerModel | None = None
    meter: Metered | None = None
    whole_phone: bool = False

    def __post_init__(self) -> None:
        if self.whole_phone and (self.power is None or self.power.screen_w is None):
            whose = self.power.name if self.power else "the device"
            raise UsageError(
                f"nobody declared what {whose} takes while it only waits with its screen on",
                hint="--power pixel-3, nexus-5, or FILE.toml with screen_w",
            )

    def anyway_j(self, answer_ms: float) -> float:
        """Of base and screen while an answer takes so long; 0 where they are left out."""
        if not self.whole_phone or self.power is None or self.power.screen_w is None:
            return 0.0
        return self.power.screen_w * answer_ms / 1e3

    @property
    def boundary(self) -> str:
        """What the joules are of, as a note."""
        if not self.whole_phone or self.power is None:
            return LEFT_OUT
        return (
            f"energy: of the whole phone: {self.power.screen_w:.2g} W of base and screen (at half "
            f"of its brightness) over the whole answer of both ways, as declared for "
            f"{self.power.name}; memory is left out, and what it takes after the answer"
        )

    @property
    def is_known(self) -> bool:
        """Whether there is any of both."""
        return self.power is not None or self.meter is not None

    @property
    def method(self) -> Literal["profile", "model"]:
        """How the joules of inference came about: from an earlier run's meter, or by a model."""
        return "model" if self.meter is None else "profile"

    def inference_j(self, busy_ms: float, threads: int) -> float | None:
        """Of one inference on so many threads."""
        if self.meter is not None:
            return self.meter.inference_j
        return None if self.power is None else compute_energy(self.power, busy_ms, threads)

    def other_j(self, busy_ms: float) -> float | None:
        """Of whatever else it computes for so long, on one core."""
        if self.power is not None:
            return compute_energy(self.power, busy_ms)
        if self.meter is None or self.meter.busy_w is None:
            return None
        return self.meter.busy_w * busy_ms / 1e3

    def notes(self, device: str) -> tuple[str, ...]:
        """Where a device's joules come from."""
        said = []
        if self.meter is not None:
            idle = "above idle" if self.meter.net else "idle power with it, which it does not tell"
            if self.whole_phone and not self.meter.net:
                idle += ": so that counts twice"
            said.append(
                f"energy: of inference as metered on {device} ({self.meter.method}), {idle}"
            )
        if self.power is not None:
            what = "the rest of compute" if self.meter else "compute"
            said.append(
                f"energy: {what} is time × the power that was declared for {self.power.name}"
            )
        elif self.meter is not None:
            said.append("energy: the rest of compute is time × the power metered during inference")
        else:
            said.append(f"energy: no power model was declared for {device}")
        return tuple(said)
