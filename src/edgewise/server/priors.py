"""What is believed of a variant's times before any request: given, remembered, or measured now."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from edgewise.errors import InputError
from edgewise.records import Profile
from edgewise.selection.profiles.table import LEVELS, ProfileTable, table
from edgewise.server.catalogue import Served, ServedFamily

#: Calls of each variant when it is measured at start, and the time that they may take together.
CALIBRATION_CALLS, CALIBRATION_SECONDS = 64, 2.0


def given(family: ServedFamily, where: str) -> ProfileTable:
    """Profiles of a family's variants from a store or a file (`selection.sources`), by the
    variant's name or its file's; the accuracies are the family's.

    Raises:
        InputError: they cannot be read, or a variant is not among them.
    """
    from edgewise.selection.profiles import sources

    known = {profile.model: profile for profile in sources.load(where).table.profiles}
    profiles = []
    for name, served in family.variants.items():
        found = known.get(name) or known.get(Path(served.variant.file or "").stem)
        if found is None:
            raise InputError(
                f"the profiles {where} have no variant '{name}'",
                hint=f"they have: {', '.join(known)}",
            )
        profiles.append(_of(served, found))
    return table(family.family.name, profiles)


def measured(
    family: ServedFamily, hot_ms: Mapping[str, Sequence[float]], cold_ms: Mapping[str, float]
) -> ProfileTable:
    """Profiles from samples taken at start, by variant key. Times in ms."""
    profiles = []
    for served in family.variants.values():
        samples = np.asarray(hot_ms[served.key], dtype=np.float64)
        quantiles = np.quantile(samples, LEVELS) if len(samples) > 1 else ()
        profiles.append(
            Profile(
                model=served.variant.name,
                accuracy=_counted(served),
                mean_ms=float(samples.mean()),
                std_ms=float(samples.std(ddof=1)) if len(samples) > 1 else 0.0,
                n=len(samples),
                quantiles_ms=tuple(zip(LEVELS.tolist(), map(float, quantiles), strict=False)),
                cold_ms=cold_ms.get(served.key) or None,
                origin="measured",
                source="at start",
                accuracy_source=served.variant.accuracy_source,
            )
        )
    return table(family.family.name, profiles)


def make_room(state: Path) -> None:
    """The folder for what is learned: better refused now than found missing at the end.

    Raises:
        InputError: it cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        # Not `access`: it knows no read-only file systems of containers, and says yes to root.
        with tempfile.TemporaryFile(dir=state):
            pass
    except OSError as error:
        raise InputError(
            f"learned times cannot be kept in {state}: {error.strerror or error}",
            hint="--state takes a folder that can be written",
        ) from error


def _counted(served: Served) -> float:
    """What policies count an answer for. That of a model alone may not be known: with nothing to
    choose from any number does."""
    return 100.0 if served.variant.accuracy is None else served.variant.accuracy


def _of(served: Served, profile: Profile) -> Profile:
    return msgspec.structs.replace(
        profile,
        model=served.variant.name,
        accuracy=_counted(served),
        accuracy_source=served.variant.accuracy_source,
    )
