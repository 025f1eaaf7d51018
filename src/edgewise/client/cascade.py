"""When the device's answer is sure enough to ask nobody else.

The threshold comes from conformal risk control (`selection.cascade`): on inputs like those that it
was calibrated on, the device's answer is kept and wrong where the cloud's would be right for at
most `risk` percent of all inputs, in expectation. On another mix of inputs it holds nothing:
calibrate again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InputError, UsageError

if TYPE_CHECKING:
    from edgewise.selection.profiles.sources import Samples

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Keep the device's answer where its confidence is at least `threshold`.

    `threshold` is None where no confidence suffices. `risk` is in percent of all inputs, None for
    a threshold that somebody just stated; `n` is on how many inputs it was calibrated; `device` and
    `cloud` are what answered them.
    """

    threshold: float | None
    risk: float | None = None
    n: int = 0
    device: str = ""
    cloud: str = ""

    def keeps(self, confidence: float | None) -> bool:
        """Whether an answer of this confidence is sure enough."""
        return (
            self.threshold is not None and confidence is not None and confidence >= self.threshold
        )

    def save(self, path: Path) -> None:
        """Write it down, as JSON.

        Raises:
            InputError: the file cannot be written.
        """
        try:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def rule(given: Rule | Path | str | float, device: str, risk: float) -> Rule:
    """A rule from what a caller names: a rule, its threshold, a rule's file (`.json`), or a file of
    samples that `edgewise eval --samples` wrote, calibrated here for a risk in percent.

    Raises:
        InputError: the file cannot be read.
        UsageError: a threshold outside 0 to 1; a rule for another model; samples without it.
    """
    if isinstance(given, Rule):
        found = given
    elif isinstance(given, int | float):
        if not 0 <= given <= 1:
            raise UsageError(f"a threshold of {given}", hint="a confidence lies between 0 and 1")
        found = Rule(threshold=float(given), device=device)
    elif Path(given).suffix == ".json":
        found = _load(Path(given))
    else:
        found = from_samples(Path(given), device, risk)
    if found.device and found.device != device:
        raise UsageError(
            f"the cascade was calibrated for '{found.device}', the device runs '{device}'",
            hint="calibrate it for this one",
        )
    return found


def _load(path: Path) -> Rule:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Rule)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no rule of a cascade: {error}") from error


def from_samples(path: Path, device: str, risk: float, cloud: str = "") -> Rule:
    """Calibrate on recorded answers, as `edgewise eval --samples` writes them.

    Args:
        risk: in percent of all inputs.
        cloud: the variant that stands for the cloud; without, the most accurate one.

    Raises:
        InputError: the file cannot be read.
        UsageError: it holds no samples with confidences, or none of these models.
    """
    from edgewise.selection.policies.cascade import confidence_of
    from edgewise.selection.profiles import sources

    samples: Samples | None = sources.load(str(path)).samples
    if samples is None:
        raise UsageError(f"{path} has no answers per input", hint="write it with: edgewise eval "
                         "FAMILY --data … --samples FILE")  # fmt: skip
    models = samples.table.models
    others = [name for name in models if name != device]
    best = max(others, key=lambda name: samples.correct[:, models.index(name)].mean(), default="")
    cheap, costly = samples.table.index(device), samples.table.index(cloud or best)
    return calibrated(
        confidence_of(samples)[:, cheap],
        samples.correct[:, cheap],
        samples.correct[:, costly],
        risk,
        device=device,
        cloud=models[costly],
    )


def calibrated(
    confidence: Floats, right: Flags, cloud_right: Flags, risk: float, *, device: str, cloud: str
) -> Rule:
    """A rule from n answered inputs.

    Args:
        confidence: of the device's answers, (n,).
        right, cloud_right: whether the device's and the cloud's were right, (n,).
        risk: in percent of all inputs.

    Raises:
        UsageError: a risk that is none, or no inputs.
    """
    from edgewise.selection.policies.cascade import threshold

    if not 0 < risk < 100:
        raise UsageError(f"a risk of {risk} %", hint="it lies between 0 and 100")
    if len(confidence) == 0:
        raise UsageError("nothing to calibrate on")
    found = threshold(confidence, ~right & cloud_right, risk / 100)
    return Rule(
        threshold=found if np.isfinite(found) else None,
        risk=risk,
        n=len(confidence),
        device=device,
        cloud=cloud,
    )
