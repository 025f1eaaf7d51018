"""What is believed of a variant's times before any request: given, remembered, or measured now."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from edgewise.errors import InputError, UsageError
from edgewise.records import AccuracyRow, Profile
from edgewise.selection.profiles.table import LEVELS, ProfileTable, table
from edgewise.selection.profiles.targets import Wanted
from edgewise.server.catalogue import Served, ServedFamily

#: Calls of each variant when it is measured at start, and the time that they may take together.
CALIBRATION_CALLS, CALIBRATION_SECONDS = 64, 2.0


class Given(NamedTuple):
    """Profiles that were given to start from: by the content of the model's file where a store
    says so, else by name. `on` says which target of a store was asked for."""

    where: str
    profiles: Sequence[Profile]
    by_content: bool
    accuracies: Mapping[str, AccuracyRow] = {}
    on: str = ""
    notes: tuple[str, ...] = ()

    def of(self, served: Served) -> Profile | None:
        """A variant's, None: there is none."""
        name, file = served.variant.name, Path(served.variant.file or "")
        if self.by_content and served.variant.endpoint is None:
            content = _content(served)
            return next((one for one in self.profiles if one.sha256 == content), None)
        known = {profile.model: profile for profile in self.profiles}
        return known.get(name) or known.get(file.stem)

    def with_accuracy(self, served: Served) -> Served:
        """The variant with the accuracy that a store says of this very file."""
        from edgewise.selection.profiles.stored import of_evaluation

        found = self.accuracies.get(_content(served) or "")
        if found is None:
            return served
        variant = msgspec.structs.replace(
            served.variant, accuracy=found.accuracy, accuracy_source=of_evaluation(found)
        )
        return replace(served, variant=variant)

    def corrections(self, family: ServedFamily) -> Iterator[str]:
        """Where a store says otherwise of a variant's accuracy than its family."""
        for name, served in family.variants.items():
            stated, found = served.variant.accuracy, self.with_accuracy(served).variant
            if stated is not None and found.accuracy != stated:
                yield (
                    f"{name}: {found.accuracy:.4g} % right by the store ({found.accuracy_source}), "
                    f"the family says {stated:g}"
                )

    def table(self, family: ServedFamily) -> ProfileTable:
        """The profiles of a family's variants, with the accuracies that they have there.

        Raises:
            InputError: a variant is not among them.
        """
        profiles = []
        for name, served in family.variants.items():
            found = self.of(served)
            if found is None:
                is_file = self.by_content and served.variant.endpoint is None
                what = f"measurement of the file of variant '{name}'" if is_file else f"'{name}'"
                raise InputError(
                    f"the profiles {self.where} have no {what}{'' if not is_file else self.on}",
                    hint="edgewise bench FILE --store …: a file that was replaced keeps nothing"
                    if is_file
                    else f"they have: {', '.join(profile.model for profile in self.profiles)}",
                )
            profiles.append(_of(served, found))
        return table(family.family.name, profiles)


def given(where: str, target: Wanted, threads: int) -> Given:
    """Profiles from a store, a file or a published set (`selection.profiles.sources`). Of a store
    those of single items and as many threads as an inference has here, unless the target says
    otherwise; of other threads where there are none of these, with a note.

    Raises:
        InputError, UsageError, StoreError: they cannot be read.
    """
    from edgewise.selection.profiles import sources, stored

    if not sources.is_store(where):
        return Given(where, sources.load(where).table.profiles, by_content=False)
    any_threads = target if target.of_batches else replace(target, batch=1)
    found = stored.times_with_notes(where, any_threads)
    if not target.of_threads:
        try:
            alike = stored.times_with_notes(where, replace(any_threads, threads=threads))
        except UsageError:
            alike = []
        known = {profile.sha256 for profile, _ in alike}
        other = f"measured with other threads than the {threads} that an inference has here"
        found = alike + [
            (profile, (*said, f"{profile.model}: {other} ({profile.source})"))
            for profile, said in found
            if profile.sha256 not in known
        ]
    notes = dict.fromkeys(note for _, said in found for note in said)
    return Given(
        where,
        [profile for profile, _ in found],
        by_content=True,
        accuracies=stored.accuracies(where),
        on=f" on {target}" if target else "",
        notes=tuple(notes),
    )


def _content(served: Served) -> str | None:
    """The hash of a variant's file; None: it has none here."""
    if served.content or served.variant.file is None:
        return served.content or None
    try:
        with Path(served.variant.file).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


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
